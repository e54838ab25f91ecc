namespace FusionKernels.Methods;

/// <summary>Breadcrumbs followed by the election and disjoint merge of TIES.</summary>
public sealed class BreadcrumbsTies : BreadcrumbsMethod
{
    /// <inheritdoc/>
    public override string Name => "breadcrumbs_ties";

    /// <inheritdoc/>
    public override string Summary => "cut the smallest and the largest elements, then elect signs as TIES does (Davari and Belilovsky 2024)";

    private protected override bool ElectsSigns => true;
}
