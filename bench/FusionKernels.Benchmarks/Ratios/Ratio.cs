using System.Text.Json;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Our speed as a share of an anchor's, measured side by side. A ratio carries from one machine to the next better than
/// seconds do.
/// </summary>
/// <param name="Name">Group and case.</param>
/// <param name="OursSeconds">Median of our runs.</param>
/// <param name="Anchor">What we are compared with.</param>
/// <param name="AnchorSeconds">Median of its runs.</param>
/// <param name="Target">The ratio to reach; <c>null</c> reports without judging.</param>
internal sealed record Ratio(string Name, double OursSeconds, string Anchor, double AnchorSeconds, double? Target)
{
    /// <summary>Anonymous memory that our runs may reach.</summary>
    public const double PeakAnonymousLimitMib = 1536;

    /// <summary>
    /// Anonymous memory that our runs reached, the process's own included; <c>null</c> where it was not measured.
    /// </summary>
    public double? PeakAnonymousMib { get; init; }

    /// <summary>Anchor's time over ours: 1 is as fast as the anchor, more is faster.</summary>
    public double Value => AnchorSeconds / OursSeconds;

    /// <summary>Whether speed and memory keep their promises.</summary>
    public bool Met => !(Value < Target) && !(PeakAnonymousMib >= PeakAnonymousLimitMib);

    /// <summary>One line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(new
    {
        name = Name,
        ours_s = Math.Round(OursSeconds, 6),
        anchor = Anchor,
        anchor_s = Math.Round(AnchorSeconds, 6),
        ratio = Math.Round(Value, 3),
        target = Target,
        met = Met,
        peak_anon_mib = PeakAnonymousMib is { } peak ? Math.Round(peak, 1) : (double?)null,
    });
}
