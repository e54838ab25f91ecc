using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// RAM+ (per tensor): as <see cref="Ram"/>, with what only model i changed multiplied by lam_i = 1 + r clamp(rho_i, 0, alpha), where
/// rho_i = shared_i / max(unique_i, epsilon) counts the elements that it changed with others and alone.
/// </summary>
public sealed class RamPlus : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "ramplus_tl";

    /// <inheritdoc/>
    public override string Summary => "as ram, with a model's own changes amplified by how much it shares with others";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.Equal;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("r", ParameterScope.Global, 0.1, "strength of the amplification"),
        new("alpha", ParameterScope.Global, 0.2, "most of the ratio that counts"),
        new("epsilon", ParameterScope.Global, 1e-5, "changes up to this size count as none"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        double epsilon = tensor.Number("epsilon");
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        double[] unique = Census(tensor, sources, new ChangeCensus((float)epsilon, Shared: false));
        double[] shared = Census(tensor, sources, new ChangeCensus((float)epsilon, Shared: true));
        var weighted = sources.Select((s, i) => s with
        {
            Weight = (float)(1 + (tensor.Number("r") * Math.Clamp(shared[i] / Math.Max(unique[i], epsilon), 0, tensor.Number("alpha")))),
        }).ToArray();
        tensor.CombineDeltas(new SparseAverage((float)epsilon), weighted);
    }

    // Per model, the number of elements that the rule marks when that model alone has weight 1.
    private static double[] Census(TensorMerge tensor, MergeSource[] sources, ChangeCensus rule) => Enumerable.Range(0, sources.Length)
        .Select(i => tensor.SumOf(rule, sources.Select((s, j) => s with { Weight = i == j ? 1 : 0 }).ToArray())).ToArray();
}
