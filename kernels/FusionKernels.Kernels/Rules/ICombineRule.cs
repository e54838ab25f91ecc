namespace FusionKernels.Kernels;

/// <summary>
/// A rule of the combine kernel, written once for every backend and vector width: for each element the kernel clears the
/// accumulators, calls <see cref="Add"/> for each model in order, then <see cref="Finish"/>. Rules are small structs whose
/// fields are the rule's parameters. Every operation of <see cref="ILanes{T}"/> rounds to fp32, so all backends give the same bits.
/// </summary>
public interface ICombineRule
{
    /// <summary>Takes one model's values (its delta where the chunk has a base) and its weight.</summary>
    void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>;

    /// <summary>The merged values. <paramref name="origin"/> is the base's values, or zeros where there is no base.</summary>
    T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>;
}

/// <summary>The registers a rule sums in; all zero before the first model.</summary>
/// <typeparam name="T">The lanes.</typeparam>
public struct Accumulators<T>
    where T : struct, ILanes<T>
{
    /// <summary>Sum over all models.</summary>
    public T Sum;

    /// <summary>Sum (or extreme) over the positive values.</summary>
    public T Positive;

    /// <summary>Sum (or extreme) over the negative values.</summary>
    public T Negative;

    /// <summary>Sum of the weights of positive values.</summary>
    public T PositiveWeight;

    /// <summary>Sum of the weights of negative values.</summary>
    public T NegativeWeight;
}
