using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// TIES (Yadav et al. 2023), the passes after trimming: elect a sign per element, then merge only the values that
/// agree with it. With g_i = w_i v_i: s = sum_i g_i; the elected sign is that of s, exact zero elects
/// <see cref="ZeroElectsNegative"/>'s choice. m = sum over agreeing g_i; with <see cref="Normalize"/> divided by the
/// sum of their weights (a zero sum counts as 1). y = base + lambda * m. Where s is NaN, so is y. Both signs are
/// summed on the way, in model order, which gives the same bits as electing first and summing after.
/// </summary>
/// <param name="Lambda">Factor on the merged task vector.</param>
/// <param name="Normalize">Divide by the weights that agree (mean) or not (sum).</param>
/// <param name="ZeroElectsNegative">The sign that an exactly cancelling element elects.</param>
public readonly record struct DisjointMerge(float Lambda, Flag Normalize, Flag ZeroElectsNegative = default)
    : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T g = weight * value, zero = T.Splat(0);
        sums.Sum += g;
        sums.Positive = T.WhereGreater(g, zero, sums.Positive + g, sums.Positive);
        sums.Negative = T.WhereGreater(zero, g, sums.Negative + g, sums.Negative);
        if (!Normalize)
            return;
        sums.PositiveWeight = T.WhereGreater(g, zero, sums.PositiveWeight + weight, sums.PositiveWeight);
        sums.NegativeWeight = T.WhereGreater(zero, g, sums.NegativeWeight + weight, sums.NegativeWeight);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T merged = sums.Elected(sums.Positive, sums.Negative, ZeroElectsNegative);
        if (Normalize)
        {
            T divisor = sums.Elected(sums.PositiveWeight, sums.NegativeWeight, ZeroElectsNegative);
            merged /= T.WhereEqual(divisor, T.Splat(0), T.Splat(1), divisor);
        }

        return origin + (merged * T.Splat(Lambda));
    }
}
