namespace FusionKernels.Methods;

/// <summary>DARE followed by the election and disjoint merge of TIES.</summary>
public sealed class DareTies : DareMethod
{
    /// <inheritdoc/>
    public override string Name => "dare_ties";

    /// <inheritdoc/>
    public override string Summary => "drop at random and rescale, then elect signs as TIES does (Yu et al. 2023)";

    private protected override bool ElectsSigns => true;
}
