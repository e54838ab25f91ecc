using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Which elements the models of weight 1 changed, alone or with others: y = 1 where |tau_i| &gt; epsilon for such a
/// model and for <see cref="Shared"/> ? at least one other model : no other; else 0. Sums of it are the counts of
/// RAM+.
/// </summary>
/// <param name="Epsilon">Changes up to this size count as none.</param>
/// <param name="Shared">Ask for elements that several models changed.</param>
public readonly record struct ChangeCensus(float Epsilon, Flag Shared) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T changed = T.WhereGreater(T.Abs(value), T.Splat(Epsilon), T.Splat(1), T.Splat(0));
        sums.Sum += changed;
        sums.Positive += weight * changed;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1);
        return Shared
            ? T.WhereGreater(sums.Sum, one, sums.Positive, zero)
            : T.WhereEqual(sums.Sum, one, sums.Positive, zero);
    }
}
