using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Task arithmetic (Ilharco et al. 2023): y = base + lambda * (sum_i w_i tau_i) / divisor, tau_i = x_i - base.
/// With dropping masks and a scale it is DARE's linear form.
/// </summary>
/// <param name="Lambda">Factor on the merged task vector.</param>
/// <param name="Divisor">The sum of the weights to normalise, 1 not to.</param>
public readonly record struct TaskArithmetic(float Lambda, float Divisor) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum += weight * value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T> => origin + ((sums.Sum / T.Splat(Divisor)) * T.Splat(Lambda));
}
