using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// The family that merges task vectors tau_i = x_i - base in one order of operations: sparsify each, rescale it, weigh it,
/// elect signs (or not), sum, normalise, multiply by lambda, add to the base. Members differ in how they sparsify and
/// whether they elect, and in the defaults.
/// </summary>
public abstract class TaskVectorMethod : MergeMethod
{
    /// <inheritdoc/>
    public sealed override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public sealed override VocabularyRule Vocabulary => VocabularyRule.BaseRows;

    /// <summary>Whether signs are elected per element before summing, as in TIES.</summary>
    private protected abstract bool ElectsSigns { get; }

    private protected static Parameter Weight { get; } =
        new("weight", ParameterScope.PerModel, null, "factor on the model's task vector", Required: true);

    private protected static Parameter Density { get; } =
        new("density", ParameterScope.PerModel, 1, "share of the task vector's elements that is kept", Least: 0);

    private protected static Parameter Lambda { get; } =
        new("lambda", ParameterScope.Global, 1, "factor on the merged task vector");

    private protected static Parameter Int8Mask { get; } =
        new("int8_mask", ParameterScope.Global, 0, "accepted for mergekit's sake; the numbers do not depend on it");

    private protected static Parameter Normalize(bool on) =>
        new("normalize", ParameterScope.Global, on ? 1 : 0, "divide by the sum of the weights that take part");

    private protected static Parameter Rescale(bool on) =>
        new("rescale", ParameterScope.Global, on ? 1 : 0, "restore the L1 norm that sparsifying took away");

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input) { Weight = (float)m["weight"] }).ToArray();
        Sparsify(tensor, sources);
        if (RestoresNorms(tensor))
            RestoreNorms(tensor, sources);
        Combine(tensor, sources);
    }

    /// <summary>Whether sparsified task vectors are scaled back to their L1 norm.</summary>
    private protected virtual bool RestoresNorms(TensorMerge tensor) => tensor.Flag("rescale");

    /// <summary>Sets the masks (and scales) of the sources.</summary>
    private protected virtual void Sparsify(TensorMerge tensor, MergeSource[] sources)
    {
    }

    /// <summary>The pass that writes.</summary>
    private protected virtual void Combine(TensorMerge tensor, MergeSource[] sources)
    {
        float lambda = (float)tensor.Number("lambda");
        bool normalize = tensor.Flag("normalize");
        if (ElectsSigns)
        {
            tensor.CombineDeltas(new DisjointMerge(lambda, normalize), sources);
            return;
        }

        float divisor = normalize ? sources.Sum(s => s.Weight) : 1;
        tensor.CombineDeltas(new TaskArithmetic(lambda, Math.Abs(divisor) < 1e-8f ? 1 : divisor), sources);
    }

    // scale = |delta|_1 / |masked delta|_1, both rounded to fp32; left alone where either is below 1e-7.
    private static void RestoreNorms(TensorMerge tensor, MergeSource[] sources)
    {
        int[] masked = Enumerable.Range(0, sources.Length).Where(i => sources[i].IsMasked).ToArray();
        int[] unknown = masked.Where(i => sources[i].Norms is null).ToArray();
        if (unknown.Length > 0)
        {
            // Two passes look at the masks, so drawn ones are drawn once. A plain and a masked source that follow each other share their delta.
            tensor.Keep(sources);
            double[] norms = tensor.AbsoluteSums(unknown.SelectMany(i => new[] { sources[i] with { Mask = default, Ties = null }, sources[i] }).ToArray());
            for (int u = 0; u < unknown.Length; u++)
                sources[unknown[u]] = sources[unknown[u]] with { Norms = (norms[2 * u], norms[(2 * u) + 1]) };
        }

        foreach (int i in masked)
        {
            float before = (float)sources[i].Norms!.Value.Delta, after = (float)sources[i].Norms!.Value.Masked;
            if (!(before < 1e-7f) && !(after < 1e-7f))
                sources[i] = sources[i] with { Scale = before / after };
        }
    }
}
