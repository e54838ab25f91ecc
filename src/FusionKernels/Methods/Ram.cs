using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>RAM, merging of sparse task vectors: changes of one model are added whole, changes of several are averaged.</summary>
public sealed class Ram : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "ram";

    /// <inheritdoc/>
    public override string Summary => "adds what one model changed, averages what several changed";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.Equal;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("epsilon", ParameterScope.Global, 1e-5, "changes up to this size count as none"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor) => tensor.CombineDeltas(
        new SparseAverage((float)tensor.Number("epsilon")), tensor.Models.Select(m => new MergeSource(m.Input)).ToArray());
}
