using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// A matrix product in the order of Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008):
/// a block of the right matrix is packed into panels three registers wide, a block of the left one into groups of eight
/// rows, and a tile of a group's height and a panel's width stays in registers while it sums over a block's depth.
/// Packing widens, subtracts the base and pads with zeros. The sum runs in order within blocks of <see cref="Depth"/>
/// steps, and the blocks' sums are added in order, so that an element's bits depend neither on its place in the output
/// nor on how the output is cut into parts.
/// </summary>
/// <typeparam name="TLanes">The lanes that read storage types.</typeparam>
/// <typeparam name="T">A register's lanes.</typeparam>
/// <typeparam name="TScalar">float or double: what products are summed in.</typeparam>
internal readonly unsafe partial struct PackedProduct<TLanes, T, TScalar>
    where TLanes : struct, ICpuLanes<TLanes>
    where T : struct, IProductLanes<T, TScalar>
    where TScalar : unmanaged, INumber<TScalar>
{
    private const int Group = 8, RightColumns = 2064, CacheLine = 64;

    // Steps of a tile's sum between two requests for memory: the groups of a left block share the next panel's rows.
    private const int Stretch = Group;

    // Rows of a left block; twice as many where they are stored by columns, since every step is on another page of
    // memory (measured on a delta of 4096 x 4096 times 80 columns: 64 rows 24.5 ms, 128 and 256 19.6).
    private const int LeftRows = 64, WideLeftRows = 192;

    private readonly Matrix _left, _right, _output;
    private readonly TScalar _alpha, _beta;
    private readonly TScalar* _tile, _lines, _packedLeft, _packedRight;
    private readonly float* _widened;

    /// <param name="left">m x k.</param>
    /// <param name="right">k x n.</param>
    /// <param name="output">m x n, of TScalar.</param>
    /// <param name="alpha">Factor on the product.</param>
    /// <param name="beta">Factor on the output's old contents; they are not read where it is 0.</param>
    /// <param name="scratch">64-byte aligned memory of <see cref="Scratch"/> bytes.</param>
    public PackedProduct(
        in Matrix left, in Matrix right, in Matrix output, double alpha, double beta, byte* scratch)
    {
        (_left, _right, _output) = (left, right, output);
        if (!_output.IsRowMajor)
            (_left, _right, _output) = (_right.Transposed, _left.Transposed, _output.Transposed);

        // Only a right matrix that is stored by columns is transposed while it is packed. With few left rows it is
        // cheaper to transpose those, and the tiles on their way out.
        if (!_right.IsRowMajor && _left.Rows <= LeftRows && _right.Columns > 2 * _left.Rows)
            (_left, _right, _output) = (_right.Transposed, _left.Transposed, _output.Transposed);
        (_alpha, _beta) = (TScalar.CreateTruncating(alpha), TScalar.CreateTruncating(beta));
        _tile = (TScalar*)scratch;
        _lines = _tile + TileLength;
        _packedLeft = _lines + LinesLength;
        _packedRight = _packedLeft + LeftLength;
        _widened = (float*)(_packedRight + (Depth * RightColumns));
    }

    /// <summary>Bytes of scratch memory.</summary>
    public static nint Scratch =>
        (sizeof(TScalar) * (TileLength + LinesLength + LeftLength + (Depth * RightColumns)))
        + (sizeof(float) * 2 * RightColumns);

    /// <summary>
    /// Steps of the sum in one block: then a group of left rows stays in the first cache, a panel in the second.
    /// </summary>
    private static int Depth => 2048 / sizeof(TScalar);

    private int LeftBlockRows => _left.IsRowMajor ? LeftRows : WideLeftRows;

    private static int PanelWidth => 3 * T.Count;

    /// <summary>A tile, and one transposed.</summary>
    private static int TileLength => 2 * Group * PanelWidth;

    private static nint LeftLength => Math.Max(LeftRows * LeftByRows.Row, Depth * LeftByColumns.Step);

    /// <summary>Lines on their way to a transposition, or one of a right block's width.</summary>
    private static int LinesLength => Math.Max(Group * Depth, RightColumns);

    // The first block of the depth writes the output (which was scaled by beta unless it is not to be read), the others
    // add to it. With no depth at all one block of zero steps still writes.
    // SAFETY: here and in all that is called, an address lies in one of the matrices, whose shapes were checked against
    // each other, or within the lengths that Scratch adds up.
    public void Run()
    {
        if (_output.Rows == 0 || _output.Columns == 0)
            return;
        bool overwrite = TScalar.IsZero(_beta);
        if (!overwrite && _beta != TScalar.One)
            ScaleOutput();
        bool fits = _right.Columns <= RightColumns
            && (long)_left.Columns * Width(_right.Columns) <= Depth * RightColumns;
        if (_left.IsRowMajor && fits)
            RunByRows(overwrite);
        else
            RunByDepth(overwrite);
    }

    /// <summary>
    /// Blocks of left rows, then of depth: the right matrix fits and is packed whole, the left one is read as it lies
    /// in memory (measured on a delta of 4096 x 4096 times 80 columns: 17.4 instead of 19.2 ms).
    /// </summary>
    private void RunByRows(bool overwrite)
    {
        int columns = _right.Columns, width = Width(columns);
        for (int step = 0; step < _left.Columns; step += Depth)
            PackRight(step, Math.Min(Depth, _left.Columns - step), 0, columns, _packedRight + ((nint)step * width));
        for (int row = 0; row < _left.Rows; row += LeftRows)
        {
            int step = 0;
            do
            {
                Block block = BlockAt(row, step);
                var part = new RightPart(_packedRight + ((nint)step * width), 0, columns);
                bool write = overwrite && step == 0;
                step += block.Steps;
                Multiply(block, part, write, step < _left.Columns ? BlockAt(row, step) : BlockAt(row + block.Rows, 0));
            }
            while (step < _left.Columns);
        }
    }

    /// <summary>Blocks of right columns, of depth, then of left rows.</summary>
    private void RunByDepth(bool overwrite)
    {
        for (int column = 0; column < _right.Columns; column += RightColumns)
        {
            int step = 0;
            var part = new RightPart(_packedRight, column, Math.Min(RightColumns, _right.Columns - column));
            do
            {
                int steps = Math.Min(Depth, _left.Columns - step);
                PackRight(step, steps, column, part.Columns, part.Packed);
                for (int row = 0; row < _left.Rows; row += LeftBlockRows)
                {
                    Block block = BlockAt(row, step);
                    int next = row + block.Rows;
                    bool write = overwrite && step == 0;
                    Multiply(block, part, write, next < _left.Rows ? BlockAt(next, step) : BlockAt(0, step + steps));
                }

                step += steps;
            }
            while (step < _left.Columns);
        }
    }

    /// <summary>The left block that begins at a row and a step; an empty one beyond the last.</summary>
    private Block BlockAt(int row, int step) => new(
        row, Math.Min(LeftBlockRows, _left.Rows - row), step, Math.Min(Depth, _left.Columns - step));

    private void Multiply(Block block, RightPart right, bool write, Block next)
    {
        PackLeft(block);
        Matrix ahead = _left.Slice(next.Row, next.Step, next.Rows, next.Steps);
        if (_left.IsRowMajor)
            Multiply<LeftByRows>(block, right, write, ahead);
        else
            Multiply<LeftByColumns>(block, right, write, ahead.Transposed);
    }

    private void ScaleOutput()
    {
        Matrix lines = _output.IsRowMajor ? _output : _output.Transposed;
        for (int line = 0; line < lines.Rows; line++)
        {
            var span = new Span<TScalar>(Address(lines, line, 0), lines.Columns);
            TensorPrimitives.Multiply(span, _beta, span);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply<TLayout>(Block block, RightPart right, bool write, in Matrix next)
        where TLayout : struct, ILeftLayout
    {
        (int row, int rows, int steps) = (block.Row, block.Rows, block.Steps);
        int tiles = Parts(right.Columns, PanelWidth) * Parts(rows, Group);
        var ahead = new Ahead(next, tiles * Parts(steps, Stretch));
        for (int first = 0; first < right.Columns; first += PanelWidth)
        {
            int width = Math.Min(PanelWidth, right.Columns - first), column = right.Column + first;
            TScalar* panel = Panel(right.Packed, first, steps);
            for (int group = 0; group < rows; group += Group)
            {
                TScalar* left = _packedLeft + (group * TLayout.Row);
                int height = Math.Min(Group, rows - group), stride = Width(width);
                PrefetchOutput(row + group, height, column, width);

                // A whole tile goes where it belongs, others through memory of the tile's shape.
                bool whole = height == Group && width == stride && _output.IsRowMajor;
                Tile tile = whole
                    ? new Tile(Address(_output, row + group, column), _output.RowStride, _alpha, add: !write)
                    : new Tile(_tile, stride, _alpha, add: false);
                int turn = group / Group % Stretch;
                if (stride == PanelWidth)
                    SumTile<ThreeLanes<T, TScalar>, TLayout>(left, panel, steps, height, tile, turn, ref ahead);
                else if (stride == 2 * T.Count)
                    SumTile<TwoLanes<T, TScalar>, TLayout>(left, panel, steps, height, tile, turn, ref ahead);
                else
                    SumTile<T, TLayout>(left, panel, steps, height, tile, turn, ref ahead);
                if (!whole)
                    PutTile(row + group, height, column, width, stride, write);
            }
        }
    }

    /// <summary>
    /// The tile's sums: eight rows at a time where the registers hold them, else four; a short group needs only four.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SumTile<TRow, TLayout>(
        TScalar* left, TScalar* panel, nint steps, int height, Tile tile, int turn, ref Ahead ahead)
        where TRow : struct, IProductLanes<TRow, TScalar>
        where TLayout : struct, ILeftLayout
    {
        nint next = (steps + turn) * TRow.Count;
        if (T.Count * sizeof(TScalar) == 64 && height > 4)
        {
            SumEight<TRow, TLayout>(left, panel, steps, tile, next, ref ahead);
            return;
        }

        SumFour<TRow, TLayout>(left, panel, steps, tile, next, ref ahead);
        if (height > 4)
            SumFour<TRow, TLayout>(left + (4 * TLayout.Row), panel, steps, tile.LowerHalf, next, ref ahead);
    }

    // Lane j of the row that starts at panel + k * Count is column j. Per step of k one row of the panel is loaded, and
    // an element of each left row is broadcast and multiplied with it: 24 fused multiplications to 11 loads with three
    // 512-bit registers a row, so that neither the loads nor the latency of the 24 chains of sums hold them up. Every
    // Stretch steps a few lines of the next left block and a row of the next panel are asked for: requests for a whole
    // tile at once would keep the loads behind them waiting (measured in processor time, 4096 x 4096 times 80 columns:
    // 20 %, 2048^3: 3 %).
    // SAFETY: the panel holds steps rows of TRow.Count, the group its rows in TLayout's places, the tile eight rows.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void SumEight<TRow, TLayout>(
        TScalar* left, TScalar* panel, nint steps, Tile tile, nint next, ref Ahead ahead)
        where TRow : struct, IProductLanes<TRow, TScalar>
        where TLayout : struct, ILeftLayout
    {
        TRow sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        TRow sum4 = default, sum5 = default, sum6 = default, sum7 = default;
        for (TScalar* end = panel + (steps * TRow.Count); panel < end;)
        {
            ahead.Fetch();
            Prefetch(panel + next, TRow.Count * sizeof(TScalar));
            TScalar* stop = panel + Math.Min(end - panel, Stretch * TRow.Count);
            do
            {
                TRow right = TRow.Load(panel);
                sum0 = TRow.MultiplyAdd(left, right, sum0);
                sum1 = TRow.MultiplyAdd(left + TLayout.Row, right, sum1);
                sum2 = TRow.MultiplyAdd(left + (2 * TLayout.Row), right, sum2);
                sum3 = TRow.MultiplyAdd(left + (3 * TLayout.Row), right, sum3);
                sum4 = TRow.MultiplyAdd(left + (4 * TLayout.Row), right, sum4);
                sum5 = TRow.MultiplyAdd(left + (5 * TLayout.Row), right, sum5);
                sum6 = TRow.MultiplyAdd(left + (6 * TLayout.Row), right, sum6);
                sum7 = TRow.MultiplyAdd(left + (7 * TLayout.Row), right, sum7);
                panel += TRow.Count;
                left += TLayout.Step;
            }
            while (panel < stop);
        }

        tile.Put(0, sum0);
        tile.Put(1, sum1);
        tile.Put(2, sum2);
        tile.Put(3, sum3);
        tile.Put(4, sum4);
        tile.Put(5, sum5);
        tile.Put(6, sum6);
        tile.Put(7, sum7);
    }

    // As above: twelve sums, three registers of the panel and one of the left fill the sixteen that 128- and 256-bit
    // instructions have.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void SumFour<TRow, TLayout>(
        TScalar* left, TScalar* panel, nint steps, Tile tile, nint next, ref Ahead ahead)
        where TRow : struct, IProductLanes<TRow, TScalar>
        where TLayout : struct, ILeftLayout
    {
        TRow sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (TScalar* end = panel + (steps * TRow.Count); panel < end;)
        {
            ahead.Fetch();
            Prefetch(panel + next, TRow.Count * sizeof(TScalar));
            TScalar* stop = panel + Math.Min(end - panel, Stretch * TRow.Count);
            do
            {
                TRow right = TRow.Load(panel);
                sum0 = TRow.MultiplyAdd(left, right, sum0);
                sum1 = TRow.MultiplyAdd(left + TLayout.Row, right, sum1);
                sum2 = TRow.MultiplyAdd(left + (2 * TLayout.Row), right, sum2);
                sum3 = TRow.MultiplyAdd(left + (3 * TLayout.Row), right, sum3);
                panel += TRow.Count;
                left += TLayout.Step;
            }
            while (panel < stop);
        }

        tile.Put(0, sum0);
        tile.Put(1, sum1);
        tile.Put(2, sum2);
        tile.Put(3, sum3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PutTile(int row, int rows, int column, int columns, nint stride, bool write)
    {
        if (_output.IsRowMajor)
        {
            PutTile(_output, row, rows, column, columns, _tile, stride, write);
            return;
        }

        TScalar* turned = _tile + (Group * PanelWidth);
        Transpose(_tile, stride, Group, columns, turned, Group);
        PutTile(_output.Transposed, column, columns, row, rows, turned, Group, write);
    }

    // Registers of which eight rows fill whole ones, then single elements; each is added with one rounding.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PutTile(
        in Matrix output, int row, int rows, int column, int columns, TScalar* tile, nint stride, bool write)
    {
        int count = Vector256<TScalar>.Count;
        for (int i = 0; i < rows; i++)
        {
            TScalar* sums = tile + (i * stride), target = Address(output, row + i, column);
            int j = 0;
            for (; j <= columns - count; j += count)
            {
                Vector256<TScalar> sum = Vector256.Load(sums + j);
                (write ? sum : sum + Vector256.Load(target + j)).Store(target + j);
            }

            for (; j < columns; j++)
                target[j] = write ? sums[j] : sums[j] + target[j];
        }
    }

    private static int Width(int columns) => Parts(columns, T.Count) * T.Count;

    /// <summary>How many parts of a length cover another.</summary>
    private static int Parts(int length, int part) => (length + part - 1) / part;

    private static TScalar* Panel(TScalar* packed, int column, int steps) => packed + ((nint)column * steps);

    /// <summary>
    /// A tile's place in the output, while its sums are on their way: measured 15 % on large products.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PrefetchOutput(int row, int rows, int column, int columns)
    {
        TScalar* first = Address(_output, row, column);
        (nint stride, int lines, int length) =
            _output.IsRowMajor ? (_output.RowStride, rows, columns) : (_output.ColumnStride, columns, rows);
        for (TScalar* line = first; line < first + (lines * stride); line += stride)
            Prefetch(line, length * sizeof(TScalar));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(void* first, int bytes)
    {
        for (byte* line = (byte*)first; line < (byte*)first + bytes; line += CacheLine)
            Prefetch(line);
    }

    // Only x86 has the instruction; it may name any address.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(void* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(address);
    }

    private static TScalar* Address(in Matrix matrix, int row, int column) => (TScalar*)matrix.Data.Address
        + (row * matrix.RowStride) + (column * matrix.ColumnStride);

    /// <summary>A part of the left matrix.</summary>
    private readonly record struct Block(int Row, int Rows, int Step, int Steps);

    /// <summary>Columns of the right matrix, some steps of which are packed.</summary>
    private readonly struct RightPart(TScalar* packed, int column, int columns)
    {
        public readonly TScalar* Packed = packed;

        public readonly int Column = column, Columns = columns;
    }

    /// <summary>
    /// The left block that is packed next: asked for line by line, while the tiles of the one before are summed.
    /// </summary>
    private struct Ahead
    {
        private readonly nint _stride, _size, _baseSize;
        private readonly int _length, _some, _share;
        private byte* _data, _base;
        private int _lines, _at;

        /// <param name="block">The block, stored by rows; it may be empty.</param>
        /// <param name="calls">How often <see cref="Fetch"/> will be called at least.</param>
        public Ahead(in Matrix block, int calls)
        {
            _data = (byte*)block.Data.Address;
            _base = (byte*)block.Base.Address;
            (_size, _baseSize) = (block.Data.Type.Size(), block.Base.Exists ? block.Base.Type.Size() : 0);
            (_stride, _length, _lines) = (block.RowStride, block.Columns, block.Columns == 0 ? 0 : block.Rows);
            _some = CacheLine / (int)Math.Max(_size, _baseSize);
            _share = Parts(_lines * Parts(_length, _some), Math.Max(1, calls));
        }

        /// <summary>Asks for the next share of the block.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Fetch()
        {
            for (int i = 0; i < _share && _lines > 0; i++)
            {
                Touch(_at);
                _at += _some;
                if (_at < _length)
                    continue;

                // Of elements that do not begin with a cache line, the last are in one that is not yet asked for.
                Touch(_length - 1);
                _at = 0;
                _lines--;
                _data += _stride * _size;
                _base += _stride * _baseSize;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Touch(int element)
        {
            Prefetch(_data + (element * _size));
            if (_base != null)
                Prefetch(_base + (element * _baseSize));
        }
    }

    /// <summary>Where a tile's sums go, times alpha.</summary>
    private readonly struct Tile(TScalar* first, nint stride, TScalar alpha, bool add)
    {
        private readonly TScalar* _first = first;
        private readonly nint _stride = stride;
        private readonly TScalar _alpha = alpha;
        private readonly bool _add = add;

        /// <summary>The rows from the fifth on.</summary>
        public Tile LowerHalf => new(_first + (4 * _stride), _stride, _alpha, _add);

        // alpha * sum + 0 is a product rounded once, and 1 * sum + old a sum.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Put<TRow>(int row, TRow sum)
            where TRow : struct, IProductLanes<TRow, TScalar>
        {
            TScalar* target = _first + (row * _stride);
            TScalar alpha = _alpha, one = TScalar.One;
            if (_alpha != TScalar.One)
                sum = TRow.MultiplyAdd(&alpha, sum, default);
            TRow.Store(_add ? TRow.MultiplyAdd(&one, sum, TRow.Load(target)) : sum, target);
        }
    }

    /// <summary>
    /// The eight rows of a group one after the other: what a row-major left matrix gives without a transposition.
    /// </summary>
    private readonly struct LeftByRows : ILeftLayout
    {
        // A cache line more than the depth, so that the rows of a group do not share sets of the first cache.
        public static nint Row => Depth + (CacheLine / sizeof(TScalar));

        public static nint Step => 1;
    }

    /// <summary>
    /// The rows of all groups side by side, step after step: what a column-major left matrix gives without one.
    /// </summary>
    private readonly struct LeftByColumns : ILeftLayout
    {
        public static nint Row => 1;

        // A cache line more than a block's rows, as above.
        public static nint Step => WideLeftRows + (CacheLine / sizeof(TScalar));
    }
}
