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
    /// <summary>Elements in the sample that a first bracket comes from.</summary>
    public const int SampleSize = 8192;

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
        // The first bracket comes from a sample that is spread over the tensors by their sizes. A model of which several
        // thresholds are wanted is sampled once.
        int[] first = Array.ConvertAll(sources[0], s => Array.FindIndex(sources[0], o => ReferenceEquals(o.Input, s.Input)));
        int[] sampled = [.. Enumerable.Range(0, keep.Length).Where(i => keep[i] > 0).Select(i => first[i]).Distinct()];
        if (sampled is [])
            return new MagnitudeSelector?[keep.Length];
        long total = tensors.Sum(t => t.Length);
        var samples = tensors.Select((t, i) => t.SampleMagnitudes(
            Array.ConvertAll(sampled, model => sources[i][model]),
            Origin(i),
            Math.Max(1, (long)(SampleSize * (Int128)t.Length / total)))).ToArray();
        var selectors = keep.Select((k, i) => k == 0 ? null : Begin(k, Array.IndexOf(sampled, first[i]))).ToArray();
        Complete(selectors, fresh =>
        {
            var total = Enumerable.Range(0, keep.Length).Select(fresh).ToArray();
            for (int t = 0; t < tensors.Length; t++)
            {
                var counts = tensors[t].Histograms(sources[t], Origin(t), fresh);
                for (int i = 0; i < total.Length; i++)
                    total[i]?.Add(counts[i]!);
            }

            return total;
        });
        return selectors;

        MagnitudeSelector Begin(long k, int sample) =>
            MagnitudeSelector.FromSample(k, total, samples is [var one] ? one[sample] : [.. samples.SelectMany(t => t[sample])]);

        ModelTensor? Origin(int tensor) => origins.Length == 0 ? null : origins[tensor];
    }

    /// <summary>Counts until every selector is done.</summary>
    /// <param name="selectors">One per model; <c>null</c> selects nothing.</param>
    /// <param name="count">
    /// A pass over the data, given what makes an empty histogram for model i, or <c>null</c> where its selector needs none; returns the counts per model.
    /// </param>
    public static void Complete(
        IReadOnlyList<MagnitudeSelector?> selectors, Func<Func<int, MagnitudeHistogram?>, MagnitudeHistogram?[]> count)
    {
        while (selectors.Any(s => s is { Done: false }))
        {
            var counts = count(i => selectors[i] is { Done: false } s ? s.NextPass() : null);
            for (int i = 0; i < counts.Length; i++)
            {
                if (counts[i] is { } histogram)
                    selectors[i]!.Absorb(histogram);
            }
        }
    }
}
