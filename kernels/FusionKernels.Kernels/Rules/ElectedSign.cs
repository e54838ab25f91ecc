using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>The sign that an element elects: y = 1 + sign(sum_i w_i v_i), so 0, 1 or 2; NaN counts as minus.</summary>
public readonly record struct ElectedSign : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum += weight * value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1);
        return T.WhereEqual(sums.Sum, zero, one, T.WhereGreater(sums.Sum, zero, one + one, zero));
    }
}
