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
    private void PackRight(int step, int steps, int column, int columns, TScalar* packed)
    {
        if (!_right.IsRowMajor)
        {
            for (int first = 0; first < columns; first += PanelWidth)
            {
                int wide = Math.Min(PanelWidth, columns - first);
                PackColumns(step, steps, column + first, wide, Panel(packed, first, steps));
            }

            return;
        }

        int whole = columns / PanelWidth * PanelWidth, rest = columns - whole, width = Width(rest);
        for (int k = 0; k < steps; k++)
        {
            TScalar* line = Lines(_right, step + k, column, 1, columns, out _);
            for (int first = 0; first < whole; first += PanelWidth)
            {
                TScalar* target = Panel(packed, first, steps) + (k * PanelWidth);
                ThreeLanes<T, TScalar>.Store(ThreeLanes<T, TScalar>.Load(line + first), target);
            }

            if (rest > 0)
                CopyPadded(line + whole, rest, Panel(packed, whole, steps) + (k * width), width);
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

    /// <summary>Rows in groups of eight, the last padded with zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackLeft(Block block)
    {
        (int row, int rows, int step, int steps) = (block.Row, block.Rows, block.Step, block.Steps);
        if (_left.IsRowMajor)
        {
            Read(_left, row, step, rows, steps, _packedLeft, LeftByRows.Row);
            for (int i = rows; i % Group != 0; i++)
                new Span<TScalar>(_packedLeft + (i * LeftByRows.Row), steps).Clear();
        }
        else
        {
            Read(_left.Transposed, step, row, steps, rows, _packedLeft, LeftByColumns.Step);
            for (int k = 0; rows % Group != 0 && k < steps; k++)
                new Span<TScalar>(_packedLeft + (k * LeftByColumns.Step) + rows, Group - (rows % Group)).Clear();
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
        Read(matrix, row, column, count, length, _lines, stride);
        return _lines;
    }

    /// <summary>Parts of rows of a row-major matrix as TScalar, its base subtracted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Read(in Matrix matrix, int row, int column, int rows, int length, TScalar* target, nint stride)
    {
        nint skip = (row * matrix.RowStride) + column;
        Operand data = matrix.Data.Skip(skip), origin = matrix.Base.Skip(skip);
        bool plain = IsPlain(matrix);
        if (!plain && typeof(TScalar) == typeof(float))
        {
            DeltaTile.SubtractLines<TLanes>(data, origin, matrix.RowStride, rows, length, (float*)target, stride);
            return;
        }

        for (int i = 0; i < rows; i++, target += stride)
        {
            var line = new Span<TScalar>(target, length);
            if (plain)
            {
                new Span<TScalar>(Address(matrix, row + i, column), length).CopyTo(line);
                continue;
            }

            nint next = i * matrix.RowStride;
            DeltaTile.SubtractLines<TLanes>(data.Skip(next), origin.Skip(next), 0, 1, length, _widened, 0);
            TensorPrimitives.ConvertTruncating(new ReadOnlySpan<float>(_widened, length), line);
        }
    }

    private static bool IsPlain(in Matrix matrix) => !matrix.Base.Exists
        && matrix.Data.Type == (typeof(TScalar) == typeof(float) ? ElementType.F32 : ElementType.F64);
}
