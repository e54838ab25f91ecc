using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>One model, copied, or multiplied by <c>scale</c>.</summary>
public sealed class Passthrough : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "passthrough";

    /// <inheritdoc/>
    public override string Summary => "copies one model, optionally scaled";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.None;

    /// <inheritdoc/>
    public override int MaxModels => 1;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("scale", ParameterScope.PerModel, null, "factor on every element; none copies the bits"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var source = new MergeSource(tensor.Models[0].Input);
        if (tensor.Models[0].Parameters["scale"].Number is { } scale)
            tensor.Combine(new WeightedSum(1), [source with { Weight = (float)scale }]);
        else
            tensor.Copy(source.Input);
    }
}
