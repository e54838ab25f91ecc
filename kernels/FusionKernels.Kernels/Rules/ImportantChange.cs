using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Arcee fusion, the pass that writes: y = base + v where the <see cref="Importance"/> |v| w of the change reaches the
/// threshold, else the base. The choice is a factor 1 or 0, so an infinite change gives NaN where it is not taken.
/// </summary>
/// <param name="Threshold">The least importance that is taken; NaN takes nothing.</param>
public readonly record struct ImportantChange(float Threshold) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum =
        value * T.WhereGreaterOrEqual(T.Abs(value) * weight, T.Splat(Threshold), T.Splat(1), T.Splat(0));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T> => origin + sums.Sum;
}
