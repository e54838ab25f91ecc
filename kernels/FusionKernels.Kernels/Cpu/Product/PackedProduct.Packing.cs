using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Cpu;

/// <content>Packing: from a matrix as it is stored to the order in which the tiles read it.</content>
internal readonly unsafe partial struct PackedProduct<TLanes, T, TScalar>
{
    /// <summary>
    /// Panels of <see cref="PanelWidth"/> columns, the last one of as many whole registers as it needs; within a panel
    /// row by row.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackRight(int step, int steps, int column, int columns)
    {
        if (!_right.IsRowMajor)
        {
            for (int first = 0; first < columns; first += PanelWidth)
                PackColumns(step, steps, column + first, Math.Min(PanelWidth, columns - first), Panel(first, steps));
            return;
        }

        int whole = columns / PanelWidth * PanelWidth, rest = columns - whole, width = Width(rest);
        for (int k = 0; k < steps; k++)
        {
            TScalar* line = Lines(_right, step + k, column, 1, columns, out _);
            for (int first = 0; first < whole; first += PanelWidth)
            {
                TScalar* target = Panel(first, steps) + (k * PanelWidth);
                ThreeLanes<T, TScalar>.Store(ThreeLanes<T, TScalar>.Load(line + first), target);
            }

            if (rest > 0)
                CopyPadded(line + whole, rest, Panel(whole, steps) + (k * width), width);
        }
    }

    /// <summary>A panel of a right matrix whose columns are stored as lines: lines in, rows of the panel out.</summary>
    private void PackColumns(int step, int steps, int column, int columns, TScalar* panel)
    {
        int width = Width(columns);
        if (columns < width)
            new Span<TScalar>(panel, steps * width).Clear();
        for (int first = 0; first < columns; first += Group)
        {
            int lines = Math.Min(Group, columns - first);
            TScalar* source = Lines(_right.Transposed, column + first, step, lines, steps, out nint stride);
            Transpose(source, stride, lines, steps, panel + first, width);
        }
    }

    // Squares of 8 x 8, by shuffles where there is an instruction set for them; what is left over element by element.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose(TScalar* source, nint stride, int lines, int length, TScalar* target, nint width)
    {
        int first = 0;
        if (typeof(TScalar) == typeof(float) && Avx.IsSupported && lines == Group)
        {
            for (; first <= length - Group; first += Group)
                Square.Transpose((float*)source + first, stride, (float*)target + (first * width), width);
        }

        for (int i = first; i < length; i++)
        {
            for (int line = 0; line < lines; line++)
                target[(i * width) + line] = source[(line * stride) + i];
        }
    }

    /// <summary>Groups of eight rows, the last padded with zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackLeft(int row, int rows, int step, int steps)
    {
        if (_left.IsRowMajor)
        {
            // Measured on a matrix beyond the caches: two rows ahead 3.2 ms, not at all 4.7, four rows 3.5.
            for (int i = 0; i < rows; i++)
            {
                Prefetch(_left, row + Math.Min(i + 2, rows - 1), step, steps);
                Read(_left, row + i, step, steps, _packedLeft + (i * LeftByRows.Row));
            }

            for (int i = rows; i % Group != 0; i++)
                new Span<TScalar>(_packedLeft + (i * LeftByRows.Row), steps).Clear();
        }
        else
        {
            Matrix left = _left.Transposed;
            for (int k = 0; k < steps; k++)
            {
                Prefetch(left, step + Math.Min(k + Group, steps - 1), row, rows);
                TScalar* line = Lines(left, step + k, row, 1, rows, out _);
                TScalar* target = _packedLeft + (k * Group);
                int first = 0;
                for (; first <= rows - Group; first += Group, target += Group * LeftByRows.Row)
                    *(Eight*)target = *(Eight*)(line + first);
                if (first < rows)
                    CopyPadded(line + first, rows - first, target, Group);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyPadded(TScalar* source, int length, TScalar* target, int padded)
    {
        new Span<TScalar>(source, length).CopyTo(new Span<TScalar>(target, length));
        new Span<TScalar>(target + length, padded - length).Clear();
    }

    /// <summary>
    /// Lines of a row-major matrix: where they are if they can be used as they are, else read into scratch memory.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private TScalar* Lines(in Matrix matrix, int row, int column, int count, int length, out nint stride)
    {
        if (IsPlain(matrix))
        {
            stride = matrix.RowStride;
            return Address(matrix, row, column);
        }

        stride = length;
        for (int i = 0; i < count; i++)
            Read(matrix, row + i, column, length, _lines + (i * stride));
        return _lines;
    }

    /// <summary>A part of a row of a row-major matrix as TScalar, its base subtracted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Read(in Matrix matrix, int row, int column, int length, TScalar* target)
    {
        if (IsPlain(matrix))
        {
            new Span<TScalar>(Address(matrix, row, column), length).CopyTo(new Span<TScalar>(target, length));
            return;
        }

        nint skip = (row * matrix.RowStride) + column;
        float* origin = null, values = typeof(TScalar) == typeof(float) ? (float*)target : _widened;
        if (matrix.Base.Exists)
            DeltaTile.Read<TLanes>(matrix.Base.Skip(skip), origin = _widened + RightColumns, length);
        DeltaTile.Subtract<TLanes>(matrix.Data.Skip(skip), origin, values, length);
        if (typeof(TScalar) != typeof(float))
        {
            var widened = new ReadOnlySpan<float>(values, length);
            TensorPrimitives.ConvertTruncating(widened, new Span<TScalar>(target, length));
        }
    }

    /// <summary>A part of a row of a row-major matrix that will be read soon.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(in Matrix matrix, int row, int column, int length)
    {
        nint skip = (row * matrix.RowStride) + column;
        Prefetch((void*)matrix.Data.Skip(skip).Address, length * matrix.Data.Type.Size());
        if (matrix.Base.Exists)
            Prefetch((void*)matrix.Base.Skip(skip).Address, length * matrix.Base.Type.Size());
    }

    private static bool IsPlain(in Matrix matrix) => !matrix.Base.Exists
        && matrix.Data.Type == (typeof(TScalar) == typeof(float) ? ElementType.F32 : ElementType.F64);

    /// <summary>Eight elements that move at once.</summary>
    [InlineArray(Group)]
    private struct Eight
    {
        private TScalar _first;
    }
}
