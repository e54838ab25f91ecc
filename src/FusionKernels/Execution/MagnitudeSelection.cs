using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// Streams magnitudes through <see cref="MagnitudeSelector"/>s until every model's threshold is exact. The scope is one tensor, or all tensors of a model:
/// the loop is the same, a pass just covers more.
/// </summary>
internal static class MagnitudeSelection
{
    private const int SampleSize = 8192;

    /// <summary>
    /// The thresholds that the <paramref name="keep"/>[i] largest magnitudes of model i's deltas reach, over the given tensors together;
    /// <c>null</c> where none is to be kept.
    /// </summary>
    /// <param name="tensors">The tensors' passes.</param>
    /// <param name="sources">Per tensor, the models.</param>
    /// <param name="origins">Per tensor, the base; empty for models as they are.</param>
    /// <param name="keep">Per model, how many to keep; 0 keeps nothing.</param>
    public static MagnitudeSelector?[] Select(TensorPasses[] tensors, MergeSource[][] sources, ModelTensor[] origins, long[] keep)
    {
        var samples = new uint[keep.Length][];
        var selectors = keep.Select((k, i) => k == 0 ? null : Begin(k, i)).ToArray();
        while (selectors.Any(s => s is { Done: false }))
        {
            var total = selectors.Select(s => s is { Done: false } ? s.NextPass() : null).ToArray();
            for (int t = 0; t < tensors.Length; t++)
            {
                var counts = tensors[t].Histograms(sources[t], Origin(t), i => total[i] is null ? null : selectors[i]!.NextPass());
                for (int i = 0; i < total.Length; i++)
                    total[i]?.Add(counts[i]!);
            }

            for (int i = 0; i < total.Length; i++)
            {
                if (total[i] is { } counts)
                    selectors[i]!.Absorb(counts);
            }
        }

        return selectors;

        // The first bracket comes from a sample that is spread over the tensors by their sizes. A model of which several thresholds are
        // wanted is sampled once.
        MagnitudeSelector Begin(long k, int model)
        {
            long total = tensors.Sum(t => t.Length);
            int first = Array.FindIndex(sources[0], s => ReferenceEquals(s.Input, sources[0][model].Input));
            samples[first] ??= tensors.SelectMany((t, i) =>
                t.SampleMagnitudes(sources[i][model], Origin(i), Math.Max(1, (long)(SampleSize * (Int128)t.Length / total)))).ToArray();
            return MagnitudeSelector.FromSample(k, total, samples[first]);
        }

        ModelTensor? Origin(int tensor) => origins.Length == 0 ? null : origins[tensor];
    }
}
