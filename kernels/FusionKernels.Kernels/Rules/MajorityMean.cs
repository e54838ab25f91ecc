using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// SCE (Wan et al. 2024), the pass that writes: the sign of s = sum_i v_i is elected (exact zero elects plus), and
/// y = base + (sum of w_i v_i that agree) / max(sum of their w_i, <see cref="Floor"/>). Unlike in
/// <see cref="DisjointMerge"/> the weights have no say in the election. Agreement is a factor 1 or 0, so a NaN weight
/// makes every element NaN; where s is NaN, so is y.
/// </summary>
/// <param name="Floor">The least sum of weights that is divided by.</param>
public readonly record struct MajorityMean(float Floor) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1), g = weight * value;
        T positive = T.WhereGreater(value, zero, one, zero), negative = T.WhereGreater(zero, value, one, zero);
        sums.Sum += value;
        sums.Positive += g * positive;
        sums.Negative += g * negative;
        sums.PositiveWeight += weight * positive;
        sums.NegativeWeight += weight * negative;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T merged = sums.Elected(sums.Positive, sums.Negative, zeroElectsNegative: false);
        T divisor = sums.Elected(sums.PositiveWeight, sums.NegativeWeight, zeroElectsNegative: false);
        T floor = T.Splat(Floor);
        return origin + (merged / T.WhereGreater(divisor, floor, divisor, floor));
    }
}
