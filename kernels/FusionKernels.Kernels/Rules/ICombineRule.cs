namespace FusionKernels.Kernels;

/// <summary>
/// A rule of the combine kernel, written once for every backend and vector width: for each element the kernel clears
/// the accumulators, calls <see cref="Add"/> for each model in order, then <see cref="Finish"/>. Rules are small
/// structs whose fields are the rule's parameters, a yes or no being a <see cref="Flag"/>. Every operation of <see cref="ILanes{T}"/> rounds to fp32, so all
/// backends give the same bits. Mark both members for aggressive inlining: a call per register is ten times slower.
/// </summary>
public interface ICombineRule
{
    /// <summary>Takes one model's values (its delta where the chunk has a base) and its weight.</summary>
    void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T>;

    /// <summary>
    /// The merged values. <paramref name="origin"/> is the base's values, or zeros where there is no base.
    /// </summary>
    T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>;
}
