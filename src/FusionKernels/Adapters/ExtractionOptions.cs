namespace FusionKernels.Adapters;

/// <summary>What <see cref="LoraExtraction"/> makes of which modules.</summary>
public sealed record ExtractionOptions : AdapterOptions
{
    /// <summary>The rank where neither a rank nor a share of the energy is asked for; mergekit's.</summary>
    public const int DefaultRank = 128;

    /// <summary>Seed of the sketches.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// Whether both factors get the roots of the singular values; otherwise A gets the values and B none.
    /// </summary>
    public bool DistributeScale { get; init; } = true;

    /// <summary>
    /// Whether embeddings and head get factors too, instead of being stored whole. They are whole all the same where
    /// vocabularies differ.
    /// </summary>
    public bool EmbedLora { get; init; }

    /// <summary>Whether linear layers are stored as [in, out], as GPT-2's are.</summary>
    public bool FanInFanOut { get; init; }

    /// <summary>Modules to store whole, by full name or by its last part.</summary>
    public IReadOnlyList<string> SavedModules { get; init; } = [];

    /// <summary>Regular expressions; where there are some, only modules that one is found in are extracted.</summary>
    public IReadOnlyList<string> Include { get; init; } = [];

    /// <summary>Regular expressions; modules that one is found in are left out.</summary>
    public IReadOnlyList<string> Exclude { get; init; } = [];

    /// <summary>Singular values up to this one are dropped; 0 by default.</summary>
    public double Epsilon { get; init; }

    /// <summary>Whether what has no factors (norms) is left out instead of being stored whole.</summary>
    public bool SkipUndecomposable { get; init; }

    /// <inheritdoc/>
    internal override int Keep(double[] values, double energy) =>
        Math.Min(base.Keep(values, energy), values.Count(value => value > Epsilon));
}
