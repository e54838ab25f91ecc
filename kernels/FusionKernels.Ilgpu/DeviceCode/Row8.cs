using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Eight numbers in registers.</summary>
internal struct Row8<T>
    where T : unmanaged, INumber<T>
{
    public Row4<T> Low, High;

    /// <summary>Adds <paramref name="factor"/> times <paramref name="row"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(T factor, in Row8<T> row)
    {
        Low.X0 += factor * row.Low.X0;
        Low.X1 += factor * row.Low.X1;
        Low.X2 += factor * row.Low.X2;
        Low.X3 += factor * row.Low.X3;
        High.X0 += factor * row.High.X0;
        High.X1 += factor * row.High.X1;
        High.X2 += factor * row.High.X2;
        High.X3 += factor * row.High.X3;
    }
}
