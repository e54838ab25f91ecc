namespace FusionKernels.Kernels;

/// <summary>
/// RAM: an element counts as changed in a model when |tau_i| &gt; epsilon. Where one model changed it: y = base + w_i tau_i;
/// where c &gt; 1 did: y = base + (sum over them of tau_i) / c. The weight is that of RAM+'s unique term, 1 in plain RAM.
/// </summary>
/// <param name="Epsilon">Changes up to this size count as none.</param>
public readonly record struct SparseAverage(float Epsilon) : ICombineRule
{
    /// <inheritdoc/>
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>
    {
        T changed = T.WhereGreater(T.Abs(value), T.Splat(Epsilon), T.Splat(1), T.Splat(0));
        T delta = value * changed;
        sums.Sum += delta;
        sums.Positive += weight * delta;
        sums.PositiveWeight += changed;
    }

    /// <inheritdoc/>
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        // Both terms are added, one of them times zero, as the formula reads: an infinity gives NaN.
        T zero = T.Splat(0), one = T.Splat(1), count = sums.PositiveWeight;
        T alone = T.WhereEqual(count, one, one, zero), together = T.WhereGreater(count, one, one, zero);
        return origin + (sums.Positive * alone) + (sums.Sum * together / T.WhereGreater(count, one, count, one));
    }
}
