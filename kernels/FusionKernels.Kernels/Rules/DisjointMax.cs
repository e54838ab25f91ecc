using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// TIES with the "max" function, and the election of EMR (Huang et al. 2024): y = base + lambda * (elected sign) *
/// (largest magnitude among the weighted values that have that sign). The sign is that of sum_i g_i.
/// </summary>
/// <param name="Lambda">Factor on the merged task vector.</param>
/// <param name="ZeroElectsNegative">The sign that an exactly cancelling element elects: false in TIES, true in EMR.</param>
public readonly record struct DisjointMax(float Lambda, bool ZeroElectsNegative) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T g = weight * value;
        sums.Sum += g;
        sums.Positive = T.WhereGreater(g, sums.Positive, g, sums.Positive);
        sums.Negative = T.WhereGreater(sums.Negative, g, g, sums.Negative);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0);
        T merged = ZeroElectsNegative
            ? T.WhereGreater(sums.Sum, zero, sums.Positive, sums.Negative)
            : T.WhereGreaterOrEqual(sums.Sum, zero, sums.Positive, sums.Negative);

        // A NaN among the values must reach the result although comparisons drop it; x - x is 0, or NaN for NaN and infinities.
        T poison = (sums.Sum - sums.Sum) * zero;
        return origin + ((merged + T.WhereEqual(sums.Sum, sums.Sum, zero, poison)) * T.Splat(Lambda));
    }
}
