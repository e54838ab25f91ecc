namespace FusionKernels.Adapters;

/// <summary>
/// How adapters are added. Without a rank and without a share of the energy the sum is exact: factors stand side by
/// side, and ranks add up.
/// </summary>
public sealed record SumOptions : AdapterOptions
{
    /// <summary>
    /// Whether modules that the adapters store whole are left out. They have no sum, so otherwise all adapters must
    /// have the same ones.
    /// </summary>
    public bool SkipSaved { get; init; }
}
