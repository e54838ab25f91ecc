using System.Buffers;

namespace FusionKernels.Kernels;

/// <summary>
/// Finds the k-th largest magnitude of a delta exactly, without sorting or copying it: each pass over the data fills a
/// histogram over a bracket of magnitudes, and the bin that holds the k-th becomes the next bracket, until all elements
/// of a bin are equal. From the full range that is at most two passes (a radix select on the upper 16 and the lower 15
/// bits), and one where the data has few distinct magnitudes, as differences of bf16 numbers do. A bracket that a
/// sample suggests makes the first pass faster and its bins finer; one that misses the k-th costs a pass, never
/// exactness. So at most three passes.
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
        ArgumentOutOfRangeException.ThrowIfGreaterThan(high, LargestBits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(low, high);
        (Keep, _low, _high) = (keep, low, high);
    }

    /// <summary>
    /// A selector whose first bracket is taken from a sample: the order statistics five standard deviations around the
    /// expected rank, to the upper 16 bits. If the sample is random the k-th magnitude lies between them but for one time
    /// in a million, and so do about 10 sqrt(q (1 - q) / s) of the elements (q = keep / total, s samples; 4 % at q = 0.2,
    /// s = 8192), plus ties.
    /// </summary>
    /// <param name="keep">k, at least 1.</param>
    /// <param name="total">Number of magnitudes to select from; at least <paramref name="keep"/>.</param>
    /// <param name="sample">Magnitude bits of some elements in any order. Empty gives the full range.</param>
    public static MagnitudeSelector FromSample(long keep, long total, ReadOnlySpan<uint> sample)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(keep, total);
        if (sample.IsEmpty)
            return new MagnitudeSelector(keep);

        // The two order statistics are found by counting, in a tenth of a sort's time.
        const int Shift = 15;
        int[] counts = ArrayPool<int>.Shared.Rent((int)(LargestBits >> Shift) + 1);
        counts.AsSpan().Clear();
        int top = 0;
        foreach (uint magnitude in sample)
        {
            int bin = (int)((magnitude & LargestBits) >> Shift);
            counts[bin]++;
            top = Math.Max(top, bin);
        }

        // Rank r of the k-th in the descending sample is about binomial: mean q s, variance q (1 - q) s. The 2 covers
        // that ranks are whole numbers and small means are skewed. A border beyond the sample's end is open.
        double share = (double)keep / total;
        double rank = share * sample.Length;
        double margin = (5 * Math.Sqrt(rank * (1 - share))) + 2;
        double fromTop = Math.Floor(rank - margin), toBottom = Math.Ceiling(rank + margin);
        uint low = 0, high = LargestBits;
        long above = 0;
        for (int bin = top; bin >= 0 && above <= toBottom; bin--)
        {
            long from = above;
            above += counts[bin];
            if (fromTop >= from && fromTop < above)
                high = ((uint)bin << Shift) | ((1u << Shift) - 1);
            if (toBottom >= from && toBottom < above)
                low = (uint)bin << Shift;
        }

        ArrayPool<int>.Shared.Return(counts);
        return new MagnitudeSelector(keep, low, high);
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
    public MagnitudeHistogram NextPass()
    {
        if (Done)
            throw new InvalidOperationException("The selection is done.");
        return new(_low, _high);
    }

    /// <summary>Takes the counts of a whole pass over a histogram from <see cref="NextPass"/>.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than <see cref="Keep"/> elements.</exception>
    public void Absorb(MagnitudeHistogram counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        ArgumentOutOfRangeException.ThrowIfNotEqual(counts.Low, _low);
        ArgumentOutOfRangeException.ThrowIfNotEqual(counts.High, _high);
        long above = counts.Above;
        if (above >= Keep)
        {
            // Only a bracket given from outside can lie too low, and then not at the top: something was above it.
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
            if (counts.OnlyMagnitude(bin) is { } magnitude)
                (Done, ThresholdBits, TiesKept, Ties) = (true, magnitude, Keep - above, inBin);
            else
                (_low, _high) = (first, Math.Min(counts.High, first + (1u << counts.Shift) - 1));
            return;
        }

        if (counts.Low == 0)
            throw new InvalidOperationException($"Asked for the {Keep}th largest of only {above} elements.");
        (_low, _high) = (0, counts.Low - 1);
    }
}
