using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Linear merge, a "model soup" (Wortsman et al. 2022): y = (sum_i w_i x_i) / divisor. Takes a chunk without a base.
/// </summary>
/// <param name="Divisor">
/// The sum of the weights to normalise, 1 not to. Zero gives infinities and NaN, as the formula does.
/// </param>
public readonly record struct WeightedSum(float Divisor) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum += weight * value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T> => sums.Sum / T.Splat(Divisor);
}
