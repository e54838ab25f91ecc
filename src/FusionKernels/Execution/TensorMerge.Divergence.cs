using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>How far a model's rows moved from the base's, and how much each element's change matters for it.</content>
internal sealed unsafe partial class TensorMerge
{
    /// <summary>
    /// The <see cref="SoftmaxDivergence"/> of each row of a model from the base's; a row runs along the last axis, and a
    /// tensor of one axis is one row.
    /// </summary>
    public double[] RowDivergences(MergeSource model)
    {
        // Rows that fit into a block are read once, several at a time where they are short. A longer row is read twice,
        // block by block.
        long columns = Columns, rows = Length / columns;
        int together = (int)Math.Max(1, SoftmaxDivergence.Block / columns);
        var divergences = new double[rows];
        _workers.Run(checked((int)((rows + together - 1) / together)), (worker, item) =>
        {
            long first = (long)item * together;
            if (columns > SoftmaxDivergence.Block)
            {
                var divergence = default(SoftmaxDivergence);
                ForBlocks(worker, first, (worker, in chunk, scratch) => divergence.Measure(worker, chunk, scratch));
                ForBlocks(worker, first, (worker, in chunk, scratch) => divergence.Add(worker, chunk, scratch));
                divergences[first] = divergence.Value;
                return;
            }

            int length = (int)(Math.Min(together, rows - first) * columns);
            _passes.WithChunk(worker, [model], Base, first * columns, length, (worker, in chunk, scratch) =>
            {
                for (int at = 0; at < length; at += (int)columns)
                {
                    var part = new Chunk
                    {
                        First = chunk.First + at,
                        Length = (int)columns,
                        Base = chunk.Base.Skip(at),
                        Sources = [new Source(chunk.Sources[0].Data.Skip(at))],
                    };
                    divergences[first + (at / columns)] = SoftmaxDivergence.OfRow(worker, part, scratch);
                }
            });
        });
        return divergences;

        void ForBlocks(Worker worker, long row, ChunkBody body)
        {
            for (long column = 0; column < columns; column += SoftmaxDivergence.Block)
            {
                int count = (int)Math.Min(SoftmaxDivergence.Block, columns - column);
                _passes.WithChunk(worker, [model], Base, (row * columns) + column, count, body);
            }
        }
    }

    /// <summary>
    /// Quantiles of |delta| * weight of the element's row over the tensor, without interpolation: the element of index
    /// trunc(f (n-1)) in ascending order, the product in fp32. Exact at every size.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="weights">Per row, the weight.</param>
    /// <param name="fractions">The fs.</param>
    public float[] ImportanceQuantiles(MergeSource model, double[][] weights, params float[] fractions)
    {
        var importances = new ComputedMagnitudes(
            _passes,
            [model],
            Base,
            (worker, in chunk, magnitudes) => CombineRows(worker, default(Importance), chunk, weights, magnitudes));
        long[] fromTop = fractions.Select(f => Length - (long)(f * (float)(Length - 1))).ToArray();
        return importances.Select(fromTop).Select(s => BitConverter.UInt32BitsToSingle(s.ThresholdBits)).ToArray();
    }
}
