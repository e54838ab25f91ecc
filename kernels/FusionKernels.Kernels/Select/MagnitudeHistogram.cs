namespace FusionKernels.Kernels;

/// <summary>
/// Counts of magnitudes of an fp32 delta, keyed by the float's bits with the sign cleared: for such values the order of the bits is the order
/// of the magnitudes, with NaN above infinity. Covers the bracket [<see cref="Low"/>, <see cref="High"/>] with bins of
/// 2^<see cref="Shift"/> bit patterns, and counts what lies above it. Not thread-safe: one per worker, then <see cref="Add"/>.
/// </summary>
public sealed class MagnitudeHistogram
{
    /// <summary>Most bins a histogram may have.</summary>
    public const int MaxBins = 1 << 16;

    /// <summary>The smallest magnitude's and the largest magnitude's bits, the smallest shift that gives at most <see cref="MaxBins"/>.</summary>
    public MagnitudeHistogram(uint low, uint high)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(high, 0x7FFF_FFFFu);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(low, high);
        (Low, High) = (low, high);
        while ((high - low) >> Shift >= MaxBins)
            Shift++;
        Counts = new long[((high - low) >> Shift) + 1];
    }

    /// <summary>Lowest bits in the bracket.</summary>
    public uint Low { get; }

    /// <summary>Highest bits in the bracket.</summary>
    public uint High { get; }

    /// <summary>log2 of the bit patterns per bin.</summary>
    public int Shift { get; }

    /// <summary>Elements per bin: bin b holds bits Low + [b * 2^Shift, (b + 1) * 2^Shift).</summary>
    public long[] Counts { get; }

    /// <summary>Elements whose bits exceed <see cref="High"/>.</summary>
    public long Above { get; set; }

    /// <summary>Adds the counts of a histogram over the same bracket.</summary>
    public void Add(MagnitudeHistogram other)
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.Low, Low);
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.High, High);
        Above += other.Above;
        for (int bin = 0; bin < Counts.Length; bin++)
            Counts[bin] += other.Counts[bin];
    }
}
