using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// Arcee fusion: takes a model's value where its change matters. The importance of an element is |b - a| times the
/// divergence of its row (<see cref="SoftmaxDivergence"/>), a the base and b the model; b is taken where it reaches
/// median + 1.5 (q3 - q1) of the tensor's importances. Quantiles are exact, the result has the recipe's dtype.
/// </summary>
public sealed class ArceeFusion : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "arcee_fusion";

    /// <inheritdoc/>
    public override string Summary => "takes a model's changes where they matter: size times divergence of the row";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override int MaxModels => 1;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } = [];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var model = new MergeSource(tensor.Models[0].Input);
        double[][] divergences = tensor.RowDivergences(model).Select(d => new[] { d }).ToArray();
        float[] quartiles = tensor.ImportanceQuantiles(model, divergences, 0.25f, 0.5f, 0.75f);
        float threshold = quartiles[1] + (1.5f * (quartiles[2] - quartiles[0]));
        tensor.CombineRows(new ImportantChange(threshold), [model], divergences);
    }
}
