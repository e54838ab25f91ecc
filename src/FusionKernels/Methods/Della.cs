namespace FusionKernels.Methods;

/// <summary>DELLA followed by the election and disjoint merge of TIES.</summary>
public sealed class Della : DellaMethod
{
    /// <inheritdoc/>
    public override string Name => "della";

    /// <inheritdoc/>
    public override string Summary => "drop at random, small elements more often, and rescale, then elect signs as TIES does (Deep et al. 2024)";

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } = ParametersOf(normalizes: true);

    private protected override bool ElectsSigns => true;
}
