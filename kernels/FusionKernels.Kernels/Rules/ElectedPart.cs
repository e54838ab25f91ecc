using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// A model's part in the unified task vector of EMR (Huang et al. 2024): what <see cref="DisjointMax"/> elects of all
/// models' values, an exact zero electing minus, where a model of weight above 0 has the elected sign; 0 elsewhere.
/// Where the values' sum is NaN, so is the part.
/// </summary>
/// <param name="Scale">Factor on the part.</param>
/// <param name="OnBase">Whether it is added to the base.</param>
public readonly record struct ElectedPart(float Scale, Flag OnBase) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0);
        sums.Sum += value;
        sums.Positive = T.WhereGreater(value, sums.Positive, value, sums.Positive);
        sums.Negative = T.WhereGreater(sums.Negative, value, value, sums.Negative);
        sums.PositiveWeight += T.WhereGreater(value, zero, weight, zero);
        sums.NegativeWeight += T.WhereGreater(zero, value, weight, zero);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0);
        T elected = sums.Elected(sums.Positive, sums.Negative, zeroElectsNegative: true) * T.Splat(Scale);
        T weight = sums.Elected(sums.PositiveWeight, sums.NegativeWeight, zeroElectsNegative: true);
        T part = T.WhereGreaterOrEqual(zero, weight, zero, elected);
        return OnBase ? origin + part : part;
    }
}
