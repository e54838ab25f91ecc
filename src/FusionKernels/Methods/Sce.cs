using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// SCE (Wan et al. 2024, FuseChat): select the elements that vary most between the models, calculate a weight per model
/// and tensor, the mean of its squared selected deltas, and erase the deltas whose sign is not the majority's; what
/// remains is averaged by weight.
/// </summary>
public sealed class Sce : MergeMethod
{
    private const double SmallestWeight = 1e-6;

    /// <inheritdoc/>
    public override string Name => "sce";

    /// <inheritdoc/>
    public override string Summary => "select by variance, weigh by size, erase minority signs (Wan et al. 2024)";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.Equal;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("select_topk", ParameterScope.Global, 1, "share of the elements that is merged, of those that vary between models"),
        new("int8_mask", ParameterScope.Global, 0, "accepted for mergekit's sake; the numbers do not depend on it"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        double share = tensor.Number("select_topk");
        double[]? gram = share >= 1 ? tensor.Gram(sources, deltas: true)
            : share > 0 && sources.Length > 1 ? tensor.KeepMostVarying(sources, share)
            : null;
        if (gram is null)
        {
            tensor.Copy(tensor.Base!);
            return;
        }

        var deltas = new VectorSpan(gram, sources.Length);
        double[] means = sources.Select((_, i) => deltas[i, i] / tensor.Length).ToArray();
        double sum = means.Sum();
        for (int i = 0; i < sources.Length; i++)
        {
            double weight = sum < SmallestWeight ? 1.0 / sources.Length : means[i] / sum;
            sources[i] = sources[i] with { Weight = (float)weight };
        }

        tensor.CombineDeltas(new MajorityMean((float)SmallestWeight), sources);
    }
}
