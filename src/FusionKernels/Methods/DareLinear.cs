namespace FusionKernels.Methods;

/// <summary>DARE followed by a weighted sum of the task vectors.</summary>
public sealed class DareLinear : DareMethod
{
    /// <inheritdoc/>
    public override string Name => "dare_linear";

    /// <inheritdoc/>
    public override string Summary => "drop at random and rescale, then sum (Yu et al. 2023)";

    private protected override bool ElectsSigns => false;
}
