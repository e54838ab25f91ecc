using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// A matrix plus a product of two thin ones, made where its elements are asked for:
/// <c>y[i,j] = f[i] * (w[i,j] + s * sum_k l[i,k] r[k,j])</c>. That is the weight a LoRA stands for (Hu et al. 2021,
/// s = alpha / rank, no f) and a DoRA (Liu et al. 2024, f = magnitude / row norm). fp32 arithmetic, each operation
/// rounded by itself, k ascending, one rounding to the output's type: the same bits for every division into runs and
/// every vector width. Immutable, so threads may share it.
/// </summary>
public sealed unsafe class LowRankUpdate
{
    // A panel of r is this many columns wide, 4 registers at 512 bits; at rank 64 it takes a third of the first cache.
    private const int PanelColumns = 64;

    // Panels begin on a cache line, so that no register is loaded from two.
    private const int LineBytes = 64;

    private readonly int _bits;
    private readonly long _columns;
    private readonly int _rank;
    private readonly float _scale;
    private readonly float[] _left;
    private readonly float[] _panels;
    private readonly float[]? _rowFactors;

    /// <summary>Widens and repacks the factors, which are not needed any more afterwards.</summary>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <param name="rank">Columns of l and rows of r; at least 1.</param>
    /// <param name="scale">s.</param>
    /// <param name="left">l [rows, rank], or its transpose.</param>
    /// <param name="right">r [rank, columns], or its transpose.</param>
    /// <param name="transposed">Whether both factors are given as their transposes.</param>
    public LowRankUpdate(
        long rows, long columns, int rank, float scale, Operand left, Operand right, bool transposed)
        : this(rows, columns, rank, scale, left, right, transposed, CpuBackend.WidestBits)
    {
    }

    /// <summary>With lanes of a given width, as <see cref="CpuBackend(int)"/> has them.</summary>
    internal LowRankUpdate(
        long rows, long columns, int rank, float scale, Operand left, Operand right, bool transposed, int bits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        (_bits, _columns, _rank, _scale) = (bits, columns, rank, scale);

        float[] l = Widen(left, rows * rank);
        _left = GC.AllocateUninitializedArray<float>(l.Length, pinned: true);
        for (long i = 0; i < l.Length; i++)
            _left[i] = l[transposed ? (i % rank * rows) + (i / rank) : i];

        // Panel after panel, in each the rows of r one below the other: the loop over k walks straight through a panel.
        // The last panel is filled up with zeros, whose products are thrown away.
        // SAFETY: the array is pinned for its whole life and a line longer than the panels.
        float[] r = Widen(right, columns * rank);
        long elements = (columns + PanelColumns - 1) / PanelColumns * PanelColumns * rank;
        _panels = GC.AllocateArray<float>(checked((int)elements + (LineBytes / sizeof(float))), pinned: true);
        float* panels = Panels;
        for (int k = 0; k < rank; k++)
        {
            for (long column = 0; column < columns; column++)
            {
                long at = (((column / PanelColumns * rank) + k) * PanelColumns) + (column % PanelColumns);
                panels[at] = r[transposed ? (column * rank) + k : (k * columns) + column];
            }
        }
    }

    private LowRankUpdate(LowRankUpdate plain, float[] rowFactors)
    {
        (_bits, _columns, _rank, _scale) = (plain._bits, plain._columns, plain._rank, plain._scale);
        (_left, _panels, _rowFactors) = (plain._left, plain._panels, rowFactors);
    }

    private float* Panels =>
        (float*)(((nint)Unsafe.AsPointer(ref _panels[0]) + LineBytes - 1) & ~(nint)(LineBytes - 1));

    /// <summary>Bytes that the factors take.</summary>
    public long Bytes => sizeof(float) * ((long)_left.Length + _panels.Length);

    /// <summary>The same update with row factors f; one per row.</summary>
    public LowRankUpdate WithRowFactors(float[] factors)
    {
        ArgumentNullException.ThrowIfNull(factors);
        ArgumentOutOfRangeException.ThrowIfNotEqual(factors.Length, _left.Length / _rank);
        return new LowRankUpdate(this, factors);
    }

    /// <summary>Computes a run of elements of y, rows one after the other.</summary>
    /// <param name="weights">The same elements of w.</param>
    /// <param name="first">Index of the first element in the matrix.</param>
    /// <param name="length">Elements.</param>
    /// <param name="output">Receives them; may be <paramref name="weights"/> itself.</param>
    public void Apply(Operand weights, long first, int length, Operand output)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, (_left.Length / _rank * _columns) - length);
        if (length > 0)
            Codec.Select(weights.Type, output.Type, new Run(this, weights, first, length, output));
    }

    private static float[] Widen(Operand factor, long length)
    {
        var values = new float[checked((int)length)];

        // SAFETY: the array is as long as the factor and pinned while it is filled.
        fixed (float* target = values)
            DeltaTile.Read<F32x1>(factor, target, values.Length);
        return values;
    }

    private readonly struct Run(LowRankUpdate update, Operand weights, long first, int length, Operand output)
        : ICodecPairAction
    {
        public void Invoke<TIn, TOut>()
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            switch (update._bits)
            {
                case 512:
                    Compute<F32x16, TIn, TOut>();
                    break;
                case 256:
                    Compute<F32x8, TIn, TOut>();
                    break;
                case 128:
                    Compute<F32x4, TIn, TOut>();
                    break;
                default:
                    Compute<F32x1, TIn, TOut>();
                    break;
            }
        }

        // Panel by panel, and in each all rows of the run, so that a panel is brought into the first cache once. Where
        // a row of the run does not cover the panel (the run begins or ends within it, or the matrix has no further
        // columns), its elements go through a tile of a whole panel's width, so one loop computes all.
        // SAFETY: the factors are pinned arrays that the update keeps alive; element e of the run is e - first elements
        // into the operands; the tiles hold a panel of the largest type.
        private void Compute<T, TIn, TOut>()
            where T : struct, ICpuLanes<T>
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            byte* tileIn = stackalloc byte[PanelColumns * sizeof(double)];
            byte* tileOut = stackalloc byte[PanelColumns * sizeof(double)];
            byte* source = (byte*)weights.Address, target = (byte*)output.Address;
            long columns = update._columns, end = first + length;
            long firstRow = first / columns, lastRow = (end - 1) / columns;
            float* left = (float*)Unsafe.AsPointer(ref update._left[0]);
            float* panel = update.Panels;
            for (long column = 0; column < columns; column += PanelColumns, panel += PanelColumns * update._rank)
            {
                long limit = Math.Min(column + PanelColumns, columns);
                for (long row = firstRow; row <= lastRow; row++)
                {
                    long from = Math.Max((row * columns) + column, first), to = Math.Min((row * columns) + limit, end);
                    if (from >= to)
                        continue;
                    byte* w = source + ((nint)(from - first) * TIn.Size);
                    byte* y = target + ((nint)(from - first) * TOut.Size);
                    float* l = left + (row * update._rank);
                    float factor = update._rowFactors is { } factors ? factors[row] : 1;
                    if (to - from == PanelColumns)
                    {
                        Row<T, TIn, TOut>(l, panel, update._rank, update._scale, factor, w, y);
                        continue;
                    }

                    nint skipped = (nint)(from - (row * columns) - column), count = (nint)(to - from);
                    Unsafe.CopyBlockUnaligned(tileIn + (skipped * TIn.Size), w, (uint)(count * TIn.Size));
                    Row<T, TIn, TOut>(l, panel, update._rank, update._scale, factor, tileIn, tileOut);
                    Unsafe.CopyBlockUnaligned(y, tileOut + (skipped * TOut.Size), (uint)(count * TOut.Size));
                }
            }

            GC.KeepAlive(update);
        }

        // Lane j of register m is column 4 * m * Count + j of the strip; its sum runs over k in order in one register,
        // four sums at a time to hide an addition's latency. There is no remainder: a panel is a multiple of four
        // registers of every width.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        private static void Row<T, TIn, TOut>(
            float* left, float* panel, int rank, float scale, float factor, byte* weights, byte* output)
            where T : struct, ICpuLanes<T>
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            for (nint column = 0; column < PanelColumns; column += 4 * T.Count)
            {
                T sum0 = T.Splat(0), sum1 = T.Splat(0), sum2 = T.Splat(0), sum3 = T.Splat(0);
                float* right = panel + column;
                for (nint k = 0; k < rank; k++, right += PanelColumns)
                {
                    T l = T.Splat(left[k]);
                    sum0 += l * Load<T>(right);
                    sum1 += l * Load<T>(right + T.Count);
                    sum2 += l * Load<T>(right + (2 * T.Count));
                    sum3 += l * Load<T>(right + (3 * T.Count));
                }

                Finish<T, TIn, TOut>(sum0, scale, factor, weights, output, column);
                Finish<T, TIn, TOut>(sum1, scale, factor, weights, output, column + T.Count);
                Finish<T, TIn, TOut>(sum2, scale, factor, weights, output, column + (2 * T.Count));
                Finish<T, TIn, TOut>(sum3, scale, factor, weights, output, column + (3 * T.Count));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static T Load<T>(float* source)
            where T : struct, ICpuLanes<T> => T.Load((byte*)source, sizeof(float));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Finish<T, TIn, TOut>(T sum, float scale, float factor, byte* weights, byte* output, nint at)
            where T : struct, ICpuLanes<T>
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            T updated = Codec.Load<TIn, T>(weights + (at * TIn.Size)) + (T.Splat(scale) * sum);
            Codec.Store<TOut, T>(output + (at * TOut.Size), T.Splat(factor) * updated);
        }
    }
}
