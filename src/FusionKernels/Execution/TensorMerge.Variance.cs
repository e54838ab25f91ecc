using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>Selection by how much the models differ from each other.</content>
internal sealed unsafe partial class TensorMerge
{
    /// <summary>
    /// Masks all sources to the same elements: the trunc(<paramref name="share"/> * n) that vary most between the models, of
    /// the n that vary at all; ties keep the lower index, and the product is taken in fp32. The pass that makes the mask
    /// also gives the Gram of the masked deltas.
    /// </summary>
    /// <param name="sources">At least two models; they receive the mask.</param>
    /// <param name="share">Between 0 and 1.</param>
    /// <returns>The <see cref="Gram"/>; <c>null</c> where no element is selected.</returns>
    public double[]? KeepMostVarying(MergeSource[] sources, double share)
    {
        var rule = new ModelVariance(sources.Length);
        var variances = new ComputedMagnitudes(
            _passes,
            sources[1..],
            sources[0].Input,
            (worker, in chunk, magnitudes) => worker.Stream.Combine(chunk, rule, magnitudes));
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
            worker.Stream.Combine(chunk.With(models[0].Data, models.AsSpan(1)), rule, variance.Data);

            int index = (int)(chunk.First / _context.ChunkElements);
            long lastTie = ties?.Last(worker.Stream, chunk.With(default, [variance]), index) ?? long.MaxValue;
            variance = variance with { Mask = Mask.Magnitude(threshold.ThresholdBits, lastTie) };
            WriteMask(worker, chunk.With(default, [variance]), bits);

            for (int i = 0; i < models.Length; i++)
                models[i] = models[i] with { Mask = Mask.FromBits(bits) };
            int row = (int)(chunk.First / Reduction.Block), rows = Reduction.Rows(chunk.Length);
            worker.Stream.Gram(chunk.With(chunk.Sources[0].Data, models), partials.AsSpan(row * width, rows * width));
        });
        for (int i = 0; i < sources.Length; i++)
            sources[i] = sources[i] with { Mask = Mask.FromBits(bits) };
        return Reduction.Fold(partials, width);
    }
}
