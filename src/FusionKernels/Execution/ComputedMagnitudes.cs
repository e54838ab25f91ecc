using FusionKernels.Kernels;
using FusionKernels.Models;

namespace FusionKernels.Execution;

/// <summary>Computes one magnitude per element of a chunk.</summary>
/// <param name="worker">Who does it.</param>
/// <param name="chunk">The inputs.</param>
/// <param name="magnitudes">Receives <see cref="Chunk.Length"/> fp32 values, none of them negative.</param>
internal delegate void MagnitudeFormula(Worker worker, in Chunk chunk, Operand magnitudes);

/// <summary>
/// Magnitudes that no tensor stores but a formula gives, one per element. They are computed a chunk at a time in scratch
/// memory, in every pass that needs them, and selected exactly as deltas are.
/// </summary>
/// <param name="passes">Passes over the tensor.</param>
/// <param name="sources">The models that the formula sees.</param>
/// <param name="origin">The base that it sees, or <c>null</c>.</param>
/// <param name="formula">The formula.</param>
internal sealed unsafe class ComputedMagnitudes(
    TensorPasses passes, MergeSource[] sources, ModelTensor? origin, MagnitudeFormula formula)
{
    /// <summary>
    /// The <paramref name="keep"/>[i]-th largest magnitudes, all from the same passes; 1 is the largest, the tensor's
    /// length the smallest.
    /// </summary>
    public MagnitudeSelector[] Select(params long[] keep)
    {
        uint[] sample = Sample();
        var selectors = keep.Select(k => MagnitudeSelector.FromSample(k, passes.Length, sample)).ToArray();
        MagnitudeSelection.Complete(selectors, fresh => Count(keep.Length, fresh));
        return selectors;
    }

    /// <summary>
    /// The threshold that the trunc(<paramref name="share"/> * nonzero) largest magnitudes reach, the product in fp32;
    /// <c>null</c> where that is none.
    /// </summary>
    /// <param name="share">Between 0 and 1.</param>
    public MagnitudeSelector? SelectShareOfNonzero(double share)
    {
        // The first pass counts the nonzero elements (those above the bracket that holds zero alone), and at the same
        // time the bracket in which the sample expects the threshold.
        uint[] sample = Sample();
        long expected = (long)(share * sample.Count(m => m > 0) / sample.Length * passes.Length);
        var bracket = MagnitudeSelector.FromSample(Math.Max(1, expected), passes.Length, sample).NextPass();
        var counts = Count(2, i => i == 0 ? new(bracket.Low, bracket.High) : new(0, 0));
        long keep = (long)((float)counts[1]!.Above * (float)share);
        if (keep == 0)
            return null;
        var selector = new MagnitudeSelector(keep, bracket.Low, bracket.High);
        selector.Absorb(counts[0]!);
        MagnitudeSelection.Complete([selector], fresh => Count(1, fresh));
        return selector;
    }

    private uint[] Sample() => passes.Sample(
        sources,
        origin,
        MagnitudeSelection.SampleSize,
        1,
        (worker, in chunk, scratch, samples, begin) =>
        {
            var magnitudes = new Operand(ElementType.F32, scratch);
            formula(worker, chunk, magnitudes);
            worker.Stream.SampleMagnitudes(
                chunk.With(default, [new Source(magnitudes)]), 1, samples[0].AsSpan(begin));
        })[0];

    private MagnitudeHistogram?[] Count(int histograms, Func<int, MagnitudeHistogram?> fresh) =>
        passes.Histograms(sources, origin, histograms, fresh, (worker, in chunk, scratch, counts) =>
        {
            var magnitudes = new Operand(ElementType.F32, scratch);
            formula(worker, chunk, magnitudes);
            var copies = Enumerable.Repeat(new Source(magnitudes), counts.Length).ToArray();
            worker.Stream.Histogram(chunk.With(default, copies), counts);
        });
}
