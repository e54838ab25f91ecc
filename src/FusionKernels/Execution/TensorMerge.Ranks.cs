using System.Numerics;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>Random masks whose probabilities depend on the rank within a row.</content>
internal sealed unsafe partial class TensorMerge
{
    // A pass that gathers rows and sums at once may take so many chunks at a time.
    private const int MostChunks = 4;

    /// <summary>
    /// Drops elements of each source at random, the smaller ones of a row along axis 1 more often
    /// (<see cref="RankedDraw"/>), and keeps the masks as bits. <c>null</c> leaves a source as it is.
    /// </summary>
    /// <param name="sources">The models.</param>
    /// <param name="draws">Their parameters.</param>
    /// <param name="withNorms">
    /// Whether <see cref="MergeSource.Norms"/> will be wanted: the pass finds them where rows and blocks end together.
    /// </param>
    public void DropByRank(MergeSource[] sources, (double Density, double Epsilon)?[] draws, bool withNorms)
    {
        int columns = checked((int)(Shape.Count > 1 ? Shape[1] : Length));
        int stride = checked((int)Shape.Skip(2).Aggregate(1L, (a, b) => a * b));
        var ranked = new List<(int Source, RankedDraw Draw, nint Bits)>();
        for (int i = 0; i < sources.Length; i++)
        {
            if (draws[i] is not { } draw)
                continue;
            var mask = _context.RandomMasks.Draw(this, Models[i], draw.Density);
            if (mask.Kind == MaskKind.Random)
            {
                byte* bits = NewMaskBits();
                ranked.Add((i, new RankedDraw(mask.Random, draw.Density, draw.Epsilon, columns, stride), (nint)bits));
                mask = Mask.FromBits(bits);
            }

            sources[i] = sources[i] with { Mask = mask };
        }

        if (ranked.Count == 0)
            return;
        if (WriteRankedMasks(sources, ranked, withNorms) is not { } norms)
            return;
        for (int r = 0; r < ranked.Count; r++)
        {
            ref var source = ref sources[ranked[r].Source];
            source = source with { Norms = (norms[2 * r], norms[(2 * r) + 1]) };
        }
    }

    // A worker takes as many groups of rows as a chunk holds, at least one, and so many more that they end with a whole
    // byte of bits; or with a whole block, if that is not much more: then it sums the magnitudes that it has at hand,
    // plain and masked by model.
    private double[]? WriteRankedMasks(
        MergeSource[] sources, List<(int Source, RankedDraw Draw, nint Bits)> ranked, bool withNorms)
    {
        long group = ranked[0].Draw.Group, part = Multiple(Reduction.Block);
        int chunkElements = _context.ChunkElements;
        bool sums = withNorms && (part <= MostChunks * (long)chunkElements || Length <= Math.Max(group, chunkElements));
        if (!sums)
            part = Multiple(8);
        part *= Math.Max(1, chunkElements / part);
        int width = 2 * ranked.Count;
        double[] partials = sums ? new double[Reduction.Rows(Length) * width] : [];
        var inputs = ranked.Select(r => sources[r.Source])
            .SelectMany(s => new[] { new MergeSource(s.Input), s }).ToArray();
        _workers.Run(checked((int)((Length + part - 1) / part)), (worker, index) =>
        {
            long first = index * part;
            int count = checked((int)Math.Min(part, Length - first));
            _passes.WithChunk(worker, inputs, Base, first, count, (worker, in chunk, _) =>
            {
                for (int r = 0; r < ranked.Count; r++)
                {
                    var model = chunk.Sources.Slice(2 * r, 1);
                    var alone = new Chunk { First = first, Length = count, Base = chunk.Base, Sources = model };

                    // SAFETY: the memory lives until Dispose; parts begin at multiples of 8, so each writes bytes of
                    // its own.
                    var bits = new Span<byte>((byte*)ranked[r].Bits + (first / 8), (count + 7) / 8);
                    worker.Stream.WriteRankedMask(alone, ranked[r].Draw, bits);
                }

                if (!sums)
                    return;
                int row = (int)(first / Reduction.Block);
                worker.Stream.AbsoluteSum(chunk, partials.AsSpan(row * width, Reduction.Rows(count) * width));
            });
        });
        return sums ? Reduction.Fold(partials, width) : null;

        long Multiple(int elements) => group / (long)BigInteger.GreatestCommonDivisor(group, elements) * elements;
    }
}
