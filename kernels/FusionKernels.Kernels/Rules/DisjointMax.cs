using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// TIES with the "max" function, and the election of EMR (Huang et al. 2024): y = base + lambda * (elected sign) *
/// (largest magnitude among the weighted values g_i = w_i v_i that have that sign). The sign is that of s = sum_i g_i.
/// Where s is NaN, so is y.
/// </summary>
/// <param name="Lambda">Factor on the merged task vector.</param>
/// <param name="ZeroElectsNegative">
/// The sign that an exactly cancelling element elects: false in TIES, true in EMR.
/// </param>
public readonly record struct DisjointMax(float Lambda, Flag ZeroElectsNegative) : ICombineRule
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
        where T : struct, ILanes<T> =>
        origin + (sums.Elected(sums.Positive, sums.Negative, ZeroElectsNegative) * T.Splat(Lambda));
}
