using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Counts of magnitudes of an fp32 delta, keyed by the float's bits with the sign cleared: for such values the order of
/// the bits is the order of the magnitudes, with NaN above infinity. Covers the bracket [<see cref="Low"/>,
/// <see cref="High"/>] with bins of 2^<see cref="Shift"/> bit patterns, and counts what lies above it. Not thread-safe:
/// one per worker, then <see cref="Add"/>.
/// </summary>
public sealed class MagnitudeHistogram
{
    /// <summary>Most bins a histogram may have.</summary>
    public const int MaxBins = 1 << 16;

    /// <summary>
    /// The smallest and the largest magnitude's bits; takes the smallest shift that gives at most
    /// <see cref="MaxBins"/>.
    /// </summary>
    public MagnitudeHistogram(uint low, uint high)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(high, 0x7FFF_FFFFu);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(low, high);
        (Low, High) = (low, high);
        while ((high - low) >> Shift >= MaxBins)
            Shift++;
        Counts = new long[((high - low) >> Shift) + 1];
        Seen = new uint[Counts.Length];
    }

    /// <summary>Lowest bits in the bracket.</summary>
    public uint Low { get; }

    /// <summary>Highest bits in the bracket.</summary>
    public uint High { get; }

    /// <summary>log2 of the bit patterns per bin; at most 15.</summary>
    public int Shift { get; }

    /// <summary>Elements per bin: bin b holds bits Low + [b * 2^Shift, (b + 1) * 2^Shift).</summary>
    public long[] Counts { get; }

    /// <summary>
    /// Which places a bin has seen, as the or of <see cref="Trace"/>: bit j is set if an element's place within the bin
    /// has bit j set, bit 16 + j if one has it clear. So a bin whose elements are all equal is recognised
    /// (<see cref="OnlyMagnitude"/>): differences of bf16 numbers have few distinct magnitudes.
    /// </summary>
    public uint[] Seen { get; }

    /// <summary>Elements whose bits exceed <see cref="High"/>.</summary>
    public long Above { get; set; }

    /// <summary>Counts one element; the scalar form of the histogram kernel.</summary>
    public void Count(uint magnitude)
    {
        if (magnitude > High)
        {
            Above++;
        }
        else if (magnitude >= Low)
        {
            uint bin = (magnitude - Low) >> Shift;
            Counts[bin]++;
            Seen[bin] |= Trace(magnitude - Low, Shift);
        }
    }

    /// <summary>
    /// What an element <paramref name="offset"/> above <see cref="Low"/> leaves in <see cref="Seen"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Trace(uint offset, int shift)
    {
        uint places = (1u << shift) - 1, place = offset & places;
        return place | ((place ^ places) << 16);
    }

    /// <summary>The bits that all elements of a bin have, or null when it is empty or holds different ones.</summary>
    public uint? OnlyMagnitude(int bin)
    {
        uint seen = Seen[bin], set = seen & 0xFFFF, clear = seen >> 16;
        return Counts[bin] > 0 && (set & clear) == 0 ? Low + ((uint)bin << Shift) + set : null;
    }

    /// <summary>Adds the counts of a histogram over the same bracket.</summary>
    public void Add(MagnitudeHistogram other)
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.Low, Low);
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.High, High);
        Above += other.Above;
        for (int bin = 0; bin < Counts.Length; bin++)
        {
            Counts[bin] += other.Counts[bin];
            Seen[bin] |= other.Seen[bin];
        }
    }
}
