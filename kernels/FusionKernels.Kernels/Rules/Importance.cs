using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// How much an element's change matters in Arcee fusion: y = |v| w, with v the only model's delta and w the divergence
/// of the element's row.
/// </summary>
public readonly record struct Importance : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum = T.Abs(value) * weight;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T> => sums.Sum;
}
