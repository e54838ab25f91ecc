using System.Numerics.Tensors;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <content>Merges whose weights differ from row to row, or from column to column.</content>
internal sealed unsafe partial class TensorMerge
{
    // Most blocks of rows whose sums are kept apart: enough for the workers, and little memory for wide tensors.
    private const int RowBlocks = 64;

    /// <summary>
    /// The Gram of the sources (deltas where the tensor has a base) for each row; a row runs along the last axis.
    /// </summary>
    public double[][] GramRows(MergeSource[] sources)
    {
        // Each row is a reduction of its own, so its blocks count from the row's first element; long rows are cut into
        // chunks of whole blocks.
        long columns = Columns;
        int width = sources.Length * (sources.Length + 1) / 2;
        var grams = new double[columns == 0 ? 0 : Length / columns][];
        _workers.Run(grams.Length, (worker, row) =>
        {
            var partials = new double[Reduction.Rows(columns) * width];
            for (long column = 0; column < columns; column += _context.ChunkElements)
            {
                int count = (int)Math.Min(_context.ChunkElements, columns - column);
                _passes.WithChunk(worker, sources, Base, (row * columns) + column, count, (worker, in chunk, _) =>
                {
                    int first = (int)(column / Reduction.Block), rows = Reduction.Rows(chunk.Length);
                    var part = new Chunk
                    {
                        First = column,
                        Length = chunk.Length,
                        Base = chunk.Base,
                        Sources = chunk.Sources,
                    };
                    worker.Stream.Gram(part, partials.AsSpan(first * width, rows * width));
                });
            }

            grams[row] = Reduction.Fold(partials, width);
        });
        return grams;
    }

    /// <summary>
    /// The Gram of the sources (deltas where the tensor has a base) for each column: a column runs along the first axis,
    /// and the remaining axes are taken as one.
    /// </summary>
    public double[][] GramColumns(MergeSource[] sources)
    {
        // Rows are added into a row of fp64 sums per pair of sources, in index order within a block of rows; the blocks,
        // which follow from the shape alone, are then folded pairwise. Where a chunk ends changes nothing. A product of two
        // fp32 values is exact in fp64.
        long rows = Shape[0], columns = Length / rows;
        int pairs = sources.Length * (sources.Length + 1) / 2, width = checked((int)(pairs * columns));
        long blockRows = (rows + RowBlocks - 1) / RowBlocks;
        int blocks = (int)((rows + blockRows - 1) / blockRows);
        var sums = new double[checked(blocks * width)];
        _workers.Run(blocks, (worker, block) =>
        {
            long end = Math.Min(rows, (block + 1) * blockRows) * columns;
            for (long first = block * blockRows * columns; first < end; first += _context.ChunkElements)
            {
                int count = (int)Math.Min(_context.ChunkElements, end - first);
                _passes.WithChunk(worker, sources, Base, first, count, (worker, in chunk, scratch) =>
                {
                    // SAFETY: the scratch holds two fp64 values per element.
                    double* left = (double*)scratch, right = left + chunk.Length;
                    int into = block * width;
                    for (int i = 0; i < sources.Length; i++)
                    {
                        Values(worker, chunk, i, new Operand(ElementType.F64, left));
                        for (int j = i; j < sources.Length; j++, into += (int)columns)
                        {
                            if (j > i)
                                Values(worker, chunk, j, new Operand(ElementType.F64, right));
                            AddRows(chunk, left, j > i ? right : left, sums.AsSpan(into, (int)columns));
                        }
                    }
                });
            }
        });
        double[] folded = Reduction.Fold(sums, width);
        return Enumerable.Range(0, (int)columns).Select(Column).ToArray();

        double[] Column(int column) =>
            Enumerable.Range(0, pairs).Select(pair => folded[(pair * columns) + column]).ToArray();

        void AddRows(in Chunk chunk, double* a, double* b, Span<double> into)
        {
            for (int at = 0; at < chunk.Length;)
            {
                var target = into[(int)((chunk.First + at) % columns)..];
                target = target[..Math.Min(target.Length, chunk.Length - at)];
                ReadOnlySpan<double> x = new(a + at, target.Length), y = new(b + at, target.Length);
                TensorPrimitives.MultiplyAdd(x, y, target, target);
                at += target.Length;
            }
        }
    }

    /// <summary>Writes as <see cref="CombineSpan"/> does, with weights of its own for each row.</summary>
    public void CombineRows(MergeSource[] sources, double[][] weights)
    {
        if (Base is null)
            CombineRows(new WeightedSum(1), sources, weights);
        else
            CombineRows(new TaskArithmetic(1, 1), sources, weights);
    }

    /// <summary>
    /// Writes <c>rule(base, models)</c> with weights of its own for each row; a row runs along the last axis.
    /// </summary>
    public void CombineRows<TRule>(TRule rule, MergeSource[] sources, double[][] weights)
        where TRule : struct, ICombineRule
    {
        var type = OutputType;
        _passes.ForChunks(sources, Base, (worker, in chunk, scratch) =>
        {
            var output = new Operand(type, scratch);
            CombineRows(worker, rule, chunk, weights, output);
            WriteChunk(chunk, output);
        });
    }

    /// <summary>Writes as <see cref="CombineSpan"/> does, with weights of its own for each column.</summary>
    public void CombineColumns(MergeSource[] sources, double[][] weights)
    {
        // Per chunk: sum the weighted sources in fp32, as a combine pass does, then add the base and round to storage.
        float[][] factors = sources.Select((_, i) => weights.Select(w => (float)w[i]).ToArray()).ToArray();
        var type = OutputType;
        _passes.ForChunks(sources, Base, (worker, in chunk, scratch) =>
        {
            // SAFETY: the scratch holds four fp32 values per element: a sum, a source, and two for the output.
            float* sum = (float*)scratch, values = sum + chunk.Length;
            new Span<float>(sum, chunk.Length).Clear();
            for (int i = 0; i < sources.Length; i++)
            {
                Values(worker, chunk, i, new Operand(ElementType.F32, values));
                AddWeighted(chunk, values, factors[i], sum);
            }

            var output = new Operand(type, values + chunk.Length);
            var merged = new Source(new Operand(ElementType.F32, sum));
            Source[] terms = chunk.Base.Exists ? [new Source(chunk.Base), merged] : [merged];
            worker.Stream.Combine(chunk.With(default, terms), new WeightedSum(1), output);
            WriteChunk(chunk, output);
        });

        static void AddWeighted(in Chunk chunk, float* values, float[] row, float* sum)
        {
            for (int at = 0; at < chunk.Length;)
            {
                var part = row.AsSpan((int)((chunk.First + at) % row.Length));
                part = part[..Math.Min(part.Length, chunk.Length - at)];
                Span<float> terms = new(values + at, part.Length), total = new(sum + at, part.Length);
                TensorPrimitives.Multiply(terms, part, terms);
                TensorPrimitives.Add(total, terms, total);
                at += part.Length;
            }
        }
    }

    private long Columns => Shape.Count == 0 ? 1 : Shape[^1];

    /// <summary>The value of one source at each element: its delta where the chunk has a base.</summary>
    private static void Values(Worker worker, in Chunk chunk, int source, Operand output) => worker.Stream.Combine(
        chunk.With(chunk.Base, [chunk.Sources[source] with { Weight = 1 }]),
        new WeightedSum(1),
        output);

    /// <summary>
    /// Combines a chunk row by row: it may begin and end within a row, so it is cut at the rows' borders.
    /// </summary>
    private void CombineRows<TRule>(Worker worker, TRule rule, in Chunk chunk, double[][] weights, Operand output)
        where TRule : struct, ICombineRule
    {
        long columns = Columns;
        Span<Source> weighted = new Source[chunk.Sources.Length];
        for (int at = 0; at < chunk.Length;)
        {
            long row = (chunk.First + at) / columns;
            int count = (int)Math.Min(((row + 1) * columns) - chunk.First, chunk.Length) - at;
            for (int i = 0; i < weighted.Length; i++)
            {
                var source = chunk.Sources[i];
                weighted[i] = source with { Data = source.Data.Skip(at), Weight = (float)weights[row][i] };
            }

            var part = new Chunk
            {
                First = chunk.First + at,
                Length = count,
                Base = chunk.Base.Skip(at),
                Sources = weighted,
            };
            worker.Stream.Combine(part, rule, output.Skip(at));
            at += count;
        }
    }
}
