using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>Takes a model's values where they are near the base's (alchemonaut's NearSwap): see <see cref="NearSwap"/>.</summary>
public sealed class NearSwapMethod : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "nearswap";

    /// <inheritdoc/>
    public override string Summary => "moves the base towards one model where the two are close";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override int MaxModels => 1;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.Equal;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("t", ParameterScope.Global, null, "distance up to which the model's value is taken whole", Required: true),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor) =>
        tensor.CombineDeltas(new NearSwap((float)tensor.Number("t")), [new MergeSource(tensor.Models[0].Input)]);
}
