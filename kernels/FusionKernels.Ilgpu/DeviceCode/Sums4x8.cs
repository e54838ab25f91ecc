using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Four numbers side by side in memory, which a thread moves at once.</summary>
internal struct Row4<T>
    where T : unmanaged, INumber<T>
{
    public T X0, X1, X2, X3;
}

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
