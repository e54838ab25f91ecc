using System.Numerics;
using System.Runtime.CompilerServices;
using ILGPU.Runtime;
using ILGPU.Util;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// A matrix product on any device. A group of 256 threads makes a tile of 128 x 128 sums (64 x 128 in fp64), 8 x 8 (4
/// x 8) to a thread in registers; the operands' elements pass through shared memory, eight steps of the sum at a time,
/// and become numbers on the way: while the threads multiply one such slab, the next one comes from the device's
/// memory.
/// </summary>
internal static class ProductKernel<TLeft, TRight, T, TScalar>
    where TLeft : struct, IElements
    where TRight : struct, IElements
    where T : unmanaged, INumber<T>
    where TScalar : struct, IScalar<T>
{
    private const int Threads = ProductTile.PlainThreads;

    private const int Depth = 8, Half = 64, Width = ProductTile.Width;

    // Four more than a slab's line, so that lines begin in different banks; in elements, and in fours of them.
    private const int Pitch = Width + 4, Slab = Depth * Pitch, FoursPitch = Pitch / 4, FoursHalf = Half / 4;

    // From a thread's first four elements of a slab to its last.
    private const int Reach = ((Depth - 1) * FoursPitch) + FoursHalf + 1;

    private static int Height => TScalar.Halves * Half;

    // Segment by segment of the sum. Thread (x, y) of 16 x 16 has the rows 4y to 4y + 3 and those 64 further down, and
    // the columns 4x to 4x + 3 and those 64 further right.
    public static void Run(ProductArguments<T> arguments)
    {
        var left = SharedMemory.Allocate<T>(2 * Slab);
        var right = SharedMemory.Allocate<T>(2 * Slab);
        var leftFours = left.AsAligned(16).Cast<Row4<T>>();
        var rightFours = right.AsAligned(16).Cast<Row4<T>>();
        var tile = ProductTile.OfGroup(arguments.Output.Rows, arguments.Output.Columns, Height);
        int tileRow = Pinned.Value(tile.Row), tileColumn = Pinned.Value(tile.Column);
        int first = Grid.IdxY * arguments.Output.Segments;
        for (int segment = first; segment < first + arguments.Output.Segments; segment++)
        {
            int begin = segment * arguments.Output.SegmentLength;
            int end = Pinned.Value(IntrinsicMath.Min(arguments.Left.Columns, begin + arguments.Output.SegmentLength));
            var leftCursor = new ElementCursor(
                tileRow, arguments.Left.Rows, arguments.Left.RowStride, begin, arguments.Left.ColumnStride, Height);
            var rightCursor = new ElementCursor(
                tileColumn, arguments.Right.Columns, arguments.Right.ColumnStride, begin, arguments.Right.RowStride,
                Width);
            Put(Load<TLeft>(arguments.Left, leftCursor, end, Height), left, leftCursor, Height);
            Put(Load<TRight>(arguments.Right, rightCursor, end, Width), right, rightCursor, Width);
            Group.Barrier();

            Sums4x8<T> upper = default, lower = default;
            int leftAt = Group.IdxX / 16, rightAt = Group.IdxX % 16, slab = Slab;
            for (int step = begin; step < end; step += Depth)
            {
                leftCursor.Advance(Depth);
                rightCursor.Advance(Depth);
                var nextLeft = Load<TLeft>(arguments.Left, leftCursor, end, Height);
                var nextRight = Load<TRight>(arguments.Right, rightCursor, end, Width);

                var leftLine = leftFours.SubView(leftAt, Reach);
                var rightLine = rightFours.SubView(rightAt, Reach);

                // By hand: neither ILGPU nor the PTX assembler unrolls a loop here.
                Multiply(leftLine, rightLine, 0, ref upper, ref lower);
                Multiply(leftLine, rightLine, 1, ref upper, ref lower);
                Multiply(leftLine, rightLine, 2, ref upper, ref lower);
                Multiply(leftLine, rightLine, 3, ref upper, ref lower);
                Multiply(leftLine, rightLine, 4, ref upper, ref lower);
                Multiply(leftLine, rightLine, 5, ref upper, ref lower);
                Multiply(leftLine, rightLine, 6, ref upper, ref lower);
                Multiply(leftLine, rightLine, 7, ref upper, ref lower);
                Put(nextLeft, left.SubView(slab, Slab), leftCursor, Height);
                Put(nextRight, right.SubView(slab, Slab), rightCursor, Width);
                Group.Barrier();

                int on = slab > 0 ? Slab / 4 : -(Slab / 4);
                leftAt += on;
                rightAt += on;
                slab = Slab - slab;
            }

            int row = tileRow + (Group.IdxX / 16 * 4), column = tileColumn + (Group.IdxX % 16 * 4);
            Write(upper, arguments.Output, row, column, segment == first);
            if (TScalar.Halves == 2)
                Write(lower, arguments.Output, row + Half, column, segment == first);
        }
    }

    // A thread's elements of a slab. Outside the matrix, and past the segment's end, are zeros.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Row4<T> Load<TElements>(in DeviceMatrix matrix, in ElementCursor cursor, int end, int lines)
        where TElements : struct, IElements
    {
        Row4<T> elements = default;
        elements.X0 = Load<TElements>(matrix, cursor, 0, end, lines);
        elements.X1 = Load<TElements>(matrix, cursor, 1, end, lines);
        if (lines > Half)
        {
            elements.X2 = Load<TElements>(matrix, cursor, 2, end, lines);
            elements.X3 = Load<TElements>(matrix, cursor, 3, end, lines);
        }

        return elements;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Load<TElements>(in DeviceMatrix matrix, in ElementCursor cursor, int i, int end, int lines)
        where TElements : struct, IElements =>
        cursor.IsWithin(i, end) ? TScalar.Load<TElements>(matrix, cursor.First + (i * cursor.Apart)) : T.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(in Row4<T> elements, ArrayView<T> slab, in ElementCursor cursor, int lines)
    {
        slab[cursor.Place] = elements.X0;
        slab[cursor.Place + cursor.PlacesApart] = elements.X1;
        if (lines > Half)
        {
            slab[cursor.Place + (2 * cursor.PlacesApart)] = elements.X2;
            slab[cursor.Place + (3 * cursor.PlacesApart)] = elements.X3;
        }
    }

    /// <summary>One step of the sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply(
        ArrayView<Row4<T>> left, ArrayView<Row4<T>> right, int step, ref Sums4x8<T> upper, ref Sums4x8<T> lower)
    {
        int line = step * FoursPitch;
        var elements = new Row8<T> { Low = right[line], High = right[line + FoursHalf] };
        upper.Add(left[line], elements);
        if (TScalar.Halves == 2)
            lower.Add(left[line + FoursHalf], elements);
    }

    private static void Write(in Sums4x8<T> sums, in ProductOutput<T> output, int row, int column, bool begins)
    {
        Write(sums.R0, output, row, column, begins);
        Write(sums.R1, output, row + 1, column, begins);
        Write(sums.R2, output, row + 2, column, begins);
        Write(sums.R3, output, row + 3, column, begins);
    }

    private static void Write(in Row8<T> sums, in ProductOutput<T> output, int row, int column, bool begins)
    {
        if (row >= output.Rows)
            return;
        Write(sums.Low, output, row, column, begins);
        Write(sums.High, output, row, column + Half, begins);
    }

    private static void Write(in Row4<T> sums, in ProductOutput<T> output, int row, int column, bool begins)
    {
        output.Add<TScalar>(sums.X0, row, column, begins);
        output.Add<TScalar>(sums.X1, row, column + 1, begins);
        output.Add<TScalar>(sums.X2, row, column + 2, begins);
        output.Add<TScalar>(sums.X3, row, column + 3, begins);
    }

    /// <summary>
    /// Which elements of a slab a thread brings: two or four, of 64 or 128 lines (rows of the left matrix, columns of
    /// the right one) by eight steps. Neighbouring threads bring neighbours in memory, along a line or across all
    /// lines.
    /// </summary>
    private struct ElementCursor
    {
        /// <summary>Where its first element lies, and how far the next one from there.</summary>
        public long First, Apart;

        /// <summary>The same in a slab.</summary>
        public int Place, PlacesApart;

        private readonly long _stepStride;
        private readonly int _line, _lines, _linesApart, _stepsApart;
        private int _step;

        public ElementCursor(int line, int lines, long lineStride, int step, long stepStride, int height)
        {
            bool along = stepStride == 1;
            int lineInSlab = Utilities.Select(along, Group.IdxX / Depth, Group.IdxX % height);
            int stepInSlab = Utilities.Select(along, Group.IdxX % Depth, Group.IdxX / height);
            (_line, _lines, _step, _stepStride) = (line + lineInSlab, lines, step + stepInSlab, stepStride);
            _linesApart = Pinned.Value(Utilities.Select(along, Threads / Depth, 0));
            _stepsApart = Pinned.Value(Utilities.Select(along, 0, Threads / height));
            First = (_line * lineStride) + (_step * stepStride);
            Apart = Pinned.Value((_linesApart * lineStride) + (_stepsApart * stepStride));
            Place = Pinned.Value((stepInSlab * Pitch) + lineInSlab);
            PlacesApart = Pinned.Value((_stepsApart * Pitch) + _linesApart);
        }

        /// <summary>Whether element i lies in the matrix and before the sum's end.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly bool IsWithin(int i, int end) =>
            _line + (i * _linesApart) < _lines & _step + (i * _stepsApart) < end;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Advance(int steps)
        {
            _step += steps;
            First += steps * _stepStride;
        }
    }
}
