namespace FusionKernels.Methods;

/// <summary>Breadcrumbs followed by a weighted sum of the task vectors.</summary>
public sealed class Breadcrumbs : BreadcrumbsMethod
{
    /// <inheritdoc/>
    public override string Name => "breadcrumbs";

    /// <inheritdoc/>
    public override string Summary => "cut the smallest and the largest elements, then sum (Davari and Belilovsky 2024)";

    private protected override bool ElectsSigns => false;
}
