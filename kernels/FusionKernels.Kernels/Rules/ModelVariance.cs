using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// The population variance of an element over K models, y = (K sum_i e_i^2 - (sum_i e_i)^2) / K^2 with e_i = x_i - x_1.
/// The first model is the chunk's base, the others are its models, so K - 1 values are added. Taking them around one
/// of the models keeps the difference from cancelling: the variance has a relative error of about K roundings, models
/// that agree give 0, and values on a coarse grid (bf16 numbers of like size) give the same bits in any order.
/// </summary>
/// <param name="Models">K, the first model counted.</param>
public readonly record struct ModelVariance(int Models) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        sums.Sum += value;
        sums.Positive += value * value;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T> =>
        ((T.Splat(Models) * sums.Positive) - (sums.Sum * sums.Sum)) / T.Splat((float)Models * Models);
}
