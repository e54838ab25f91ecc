namespace FusionKernels.Kernels;

/// <summary>
/// Finds the k-th largest magnitude of a delta exactly, without sorting or copying it: each pass over the data fills a
/// histogram over a bracket of magnitudes, and the bin that holds the k-th becomes the next bracket, until a bin is a
/// single bit pattern. From the full range that is two passes (a radix select on the upper 16 and the lower 15 bits); from a bracket that a sample
/// suggests it is mostly one. A bracket that misses the target costs a pass, never exactness.
/// </summary>
public sealed class MagnitudeSelector
{
    private const uint LargestBits = 0x7FFF_FFFF;
    private uint _low, _high;

    /// <summary>Selects the k-th largest of an unknown number of magnitudes, starting from a bracket.</summary>
    /// <param name="keep">k, at least 1.</param>
    /// <param name="low">Bits that the k-th magnitude is thought to reach.</param>
    /// <param name="high">Bits that it is thought not to exceed.</param>
    public MagnitudeSelector(long keep, uint low = 0, uint high = LargestBits)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(keep);
        (Keep, _low, _high) = (keep, low, high);
    }

    /// <summary>k: how many elements to keep.</summary>
    public long Keep { get; }

    /// <summary>Whether <see cref="ThresholdBits"/> and <see cref="TiesKept"/> are known.</summary>
    public bool Done { get; private set; }

    /// <summary>The magnitude bits of the k-th largest element.</summary>
    public uint ThresholdBits { get; private set; }

    /// <summary>How many of the elements that equal the threshold belong to the k kept ones; at least 1.</summary>
    public long TiesKept { get; private set; }

    /// <summary>How many elements equal the threshold.</summary>
    public long Ties { get; private set; }

    /// <summary>The empty histogram of the next pass; workers fill copies of it.</summary>
    public MagnitudeHistogram NextPass() => new(_low, _high);

    /// <summary>Takes the counts of a whole pass.</summary>
    public void Absorb(MagnitudeHistogram counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        long above = counts.Above;
        if (above >= Keep)
        {
            (_low, _high) = (counts.High + 1, LargestBits);
            return;
        }

        // From the largest magnitudes down: the bin in which the running count reaches k holds the k-th.
        for (int bin = counts.Counts.Length - 1; bin >= 0; bin--)
        {
            long inBin = counts.Counts[bin];
            if (above + inBin < Keep)
            {
                above += inBin;
                continue;
            }

            uint first = counts.Low + ((uint)bin << counts.Shift);
            if (counts.Shift == 0)
                (Done, ThresholdBits, TiesKept, Ties) = (true, first, Keep - above, inBin);
            else
                (_low, _high) = (first, Math.Min(counts.High, first + (1u << counts.Shift) - 1));
            return;
        }

        if (counts.Low == 0)
            throw new InvalidOperationException($"Asked for the {Keep}th largest of only {above} elements.");
        (_low, _high) = (0, counts.Low - 1);
    }
}
