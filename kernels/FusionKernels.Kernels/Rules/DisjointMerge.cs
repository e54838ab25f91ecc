using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// TIES (Yadav et al. 2023), the passes after trimming: elect a sign per element, then merge only the values that agree
/// with it. With g_i = w_i v_i: s = sum_i g_i; the elected sign is that of s, exact zero elects
/// <see cref="ZeroElectsNegative"/>'s choice, NaN elects minus. m = sum over agreeing g_i; with
/// <see cref="Normalize"/> divided by the sum of their weights (a zero sum counts as 1). y = base + lambda * m.
/// Both signs are summed on the way, in model order, which gives the same bits as electing first and summing after.
/// </summary>
/// <param name="Lambda">Factor on the merged task vector.</param>
/// <param name="Normalize">Divide by the weights that agree (mean) or not (sum).</param>
/// <param name="ZeroElectsNegative">The sign that an exactly cancelling element elects.</param>
public readonly record struct DisjointMerge(float Lambda, bool Normalize, bool ZeroElectsNegative = false) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1);
        T g = weight * value;
        T isPositive = T.WhereGreater(g, zero, one, zero), isNegative = T.WhereGreater(zero, g, one, zero);
        sums.Sum += g;
        sums.Positive += g * isPositive;
        sums.Negative += g * isNegative;
        sums.PositiveWeight += weight * isPositive;
        sums.NegativeWeight += weight * isNegative;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1);
        T merged, divisor;
        if (ZeroElectsNegative)
        {
            merged = T.WhereGreater(sums.Sum, zero, sums.Positive, sums.Negative);
            divisor = T.WhereGreater(sums.Sum, zero, sums.PositiveWeight, sums.NegativeWeight);
        }
        else
        {
            merged = T.WhereGreaterOrEqual(sums.Sum, zero, sums.Positive, sums.Negative);
            divisor = T.WhereGreaterOrEqual(sums.Sum, zero, sums.PositiveWeight, sums.NegativeWeight);
        }

        if (Normalize)
            merged /= T.WhereEqual(divisor, zero, one, divisor);
        return origin + (merged * T.Splat(Lambda));
    }
}
