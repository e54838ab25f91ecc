using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Sums that a thread keeps: four rows of eight.</summary>
internal struct Sums4x8<T>
    where T : unmanaged, INumber<T>
{
    public Row8<T> R0, R1, R2, R3;

    /// <summary>Adds the outer product of four left and eight right elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(in Row4<T> left, in Row8<T> right)
    {
        R0.Add(left.X0, right);
        R1.Add(left.X1, right);
        R2.Add(left.X2, right);
        R3.Add(left.X3, right);
    }
}
