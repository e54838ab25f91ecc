namespace FusionKernels.Methods;

/// <summary>DELLA followed by a weighted sum of the task vectors.</summary>
public sealed class DellaLinear : DellaMethod
{
    /// <inheritdoc/>
    public override string Name => "della_linear";

    /// <inheritdoc/>
    public override string Summary => "drop at random, small elements more often, and rescale, then sum (Deep et al. 2024)";

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } = ParametersOf(normalizes: false);

    private protected override bool ElectsSigns => false;
}
