using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>Selection by how much the models differ from each other.</content>
internal sealed unsafe partial class TensorMerge
{
    /// <summary>
    /// Masks all sources to the same elements: the trunc(<paramref name="share"/> * n) that vary most between the models, of the n that vary at
    /// all; ties keep the lower index, and the product is taken in fp32. The pass that finds them also gives the Gram of the masked deltas.
    /// </summary>
    /// <param name="sources">At least two models; they receive the mask.</param>
    /// <param name="share">Between 0 and 1.</param>
    /// <returns>The <see cref="Gram"/>; <c>null</c> where no element is selected.</returns>
    public double[]? KeepMostVarying(MergeSource[] sources, double share)
    {
        var rule = new ModelVariance(sources.Length);
        var variances = new ComputedMagnitudes(
            _passes, sources[1..], sources[0].Input, (worker, in chunk, magnitudes) => worker.Stream.Combine(chunk, rule, magnitudes));
        if (variances.SelectShareOfNonzero(share) is not { } threshold)
            return null;

        byte* bits = NewMaskBits();
        var ties = threshold.TiesKept == threshold.Ties ? null : FirstTies(threshold.ThresholdBits, threshold.TiesKept);
        int width = sources.Length * (sources.Length + 1) / 2;
        var partials = new double[checked(Reduction.Rows(Length) * width)];
        _passes.ForChunks([new MergeSource(Base!), .. sources], null, (worker, in chunk, scratch) =>
        {
            var models = chunk.Sources[1..].ToArray();
            var variance = new Source(new Operand(ElementType.F32, scratch));
            var spread = new Chunk { First = chunk.First, Length = chunk.Length, Base = models[0].Data, Sources = models.AsSpan(1) };
            worker.Stream.Combine(spread, rule, variance.Data);

            var varying = new Chunk { First = chunk.First, Length = chunk.Length, Sources = [variance] };
            long lastTie = ties?.Last(worker.Stream, varying, (int)(chunk.First / _context.ChunkElements)) ?? long.MaxValue;
            variance = variance with { Mask = Mask.Magnitude(threshold.ThresholdBits, lastTie) };
            WriteMask(worker, new Chunk { First = chunk.First, Length = chunk.Length, Sources = [variance] }, bits);

            for (int i = 0; i < models.Length; i++)
                models[i] = models[i] with { Mask = Mask.FromBits(bits) };
            var masked = new Chunk { First = chunk.First, Length = chunk.Length, Base = chunk.Sources[0].Data, Sources = models };
            int row = (int)(chunk.First / Reduction.Block);
            worker.Stream.Gram(masked, partials.AsSpan(row * width, Reduction.Rows(chunk.Length) * width));
        });
        for (int i = 0; i < sources.Length; i++)
            sources[i] = sources[i] with { Mask = Mask.FromBits(bits) };
        return Reduction.Fold(partials, width);
    }
}
