using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>Masks that cut both ends of the magnitudes.</content>
internal sealed partial class TensorMerge
{
    /// <summary>
    /// Masks each source to the elements that are left when its delta is sorted by magnitude, of equal ones the lower
    /// index first, and <paramref name="cut"/>[i] are cut from the small and the large end. <c>null</c> leaves a source
    /// as it is.
    /// </summary>
    public void KeepMiddle(MergeSource[] sources, (long Small, long Large)?[] cut)
    {
        // Two thresholds per model come from the same passes: each is a selection of its own over the same source. The
        // lower one is reached by all but the small elements, the upper one by the large ones alone.
        var wanted = new List<(int Source, bool IsUpper, long Keep)>();
        for (int i = 0; i < sources.Length; i++)
        {
            if (cut[i] is not { } ends)
                continue;
            if (ends.Small + ends.Large >= Length)
            {
                sources[i] = sources[i] with { Mask = Mask.None };
                continue;
            }

            if (ends.Small > 0)
                wanted.Add((i, false, Length - ends.Small));
            if (ends.Large > 0)
                wanted.Add((i, true, ends.Large));
        }

        var subset = wanted.Select(w => sources[w.Source]).ToArray();
        long[] keep = wanted.Select(w => w.Keep).ToArray();
        var selectors = MagnitudeSelection.Select([_passes], [subset], Base is null ? [] : [Base], keep);
        var found = wanted.Zip(selectors, (w, s) => (w.Source, w.IsUpper, Selector: s!));
        foreach (var ends in found.GroupBy(w => w.Source))
        {
            var low = ends.FirstOrDefault(w => !w.IsUpper).Selector;
            var high = ends.FirstOrDefault(w => w.IsUpper).Selector;
            sources[ends.Key] = sources[ends.Key] with { Ties = Band(low, high) };
        }
    }

    // Of the ties at the lower threshold the first are dropped; of those at the upper one the first are kept. Whether
    // zeros are dropped makes no difference, so they are not counted.
    private ChunkMask Band(MagnitudeSelector? low, MagnitudeSelector? high)
    {
        uint lowBits = low?.ThresholdBits ?? 0, highBits = high?.ThresholdBits ?? uint.MaxValue;
        var dropped = lowBits == 0 ? null : FirstTies(lowBits, low!.Ties - low.TiesKept);
        var kept = high is null ? null : FirstTies(highBits, high.Ties - high.TiesKept);
        return (stream, in chunk, index) => Mask.Band(
            lowBits, dropped?.Last(stream, chunk, index) ?? -1, highBits, kept?.Last(stream, chunk, index) ?? -1);
    }
}
