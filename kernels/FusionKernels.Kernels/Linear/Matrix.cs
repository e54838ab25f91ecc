namespace FusionKernels.Kernels;

/// <summary>
/// A view of a matrix in a device's memory: element (i, j) is <c>RowStride * i + ColumnStride * j</c> elements after
/// the first. One of the strides is 1; the other, from one stored line to the next, is at least a line's length. With
/// a <see cref="Base"/> the matrix is a delta that exists nowhere: its value is <c>x - base</c>, rounded to fp32.
/// </summary>
/// <param name="Data">The first element. The memory must stay valid during a call.</param>
/// <param name="Rows">Number of rows; zero is allowed.</param>
/// <param name="Columns">Number of columns; zero is allowed.</param>
/// <param name="RowStride">Elements from one row to the next.</param>
/// <param name="ColumnStride">Elements from one column to the next.</param>
public readonly record struct Matrix(Operand Data, int Rows, int Columns, nint RowStride, nint ColumnStride = 1)
{
    /// <summary>A matrix stored row after row without gaps, as checkpoints do.</summary>
    public Matrix(Operand data, int rows, int columns)
        : this(data, rows, columns, columns)
    {
    }

    /// <summary>
    /// What is subtracted, laid out as <see cref="Data"/> is; its storage type may differ. <c>default</c> subtracts
    /// nothing.
    /// </summary>
    public Operand Base { get; init; }

    /// <summary>The same elements with rows and columns exchanged; nothing moves.</summary>
    public Matrix Transposed =>
        new(Data, Columns, Rows, ColumnStride, RowStride) { Base = Base };

    /// <summary>Whether a row's elements lie side by side.</summary>
    internal bool IsRowMajor => ColumnStride == 1;

    /// <summary>A part of the matrix; nothing moves.</summary>
    public Matrix Slice(int row, int column, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegative(column);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(row, Rows - rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(column, Columns - columns);
        long skip = ((long)row * RowStride) + ((long)column * ColumnStride);
        return this with { Data = Data.Skip(skip), Base = Base.Skip(skip), Rows = rows, Columns = columns };
    }

    /// <summary>Some of the rows.</summary>
    public Matrix SliceRows(int row, int rows) => Slice(row, 0, rows, Columns);

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Rows);
        ArgumentOutOfRangeException.ThrowIfNegative(Columns);
        (nint across, nint along, int lines, int length) =
            IsRowMajor ? (RowStride, ColumnStride, Rows, Columns) : (ColumnStride, RowStride, Columns, Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(along, 1);
        if (lines > 1)
            ArgumentOutOfRangeException.ThrowIfLessThan(across, length);
        if (Rows > 0 && Columns > 0)
            ArgumentOutOfRangeException.ThrowIfZero(Data.Address);
    }

    /// <summary>Checks that one matrix can be copied to another.</summary>
    internal static void CheckCopy(in Matrix source, in Matrix output)
    {
        source.Check();
        output.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(output.Rows, source.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(output.Columns, source.Columns);
        if (source.Base.Exists || output.Base.Exists)
            throw new ArgumentException("what is copied has no base", nameof(source));
    }

    /// <summary>Checks where normals go to.</summary>
    internal static void CheckNormals(long first, in Matrix output)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        output.Check();
        if (output.Data.Type != ElementType.F32 || !output.IsRowMajor || output.Base.Exists)
            throw new ArgumentException("normals are F32, stored by rows", nameof(output));
    }

    /// <summary>Checks the shapes of <c>output = left * right</c> and that the output can be written.</summary>
    internal static void CheckProduct(in Matrix left, in Matrix right, in Matrix output)
    {
        left.Check();
        right.Check();
        output.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(right.Rows, left.Columns);
        ArgumentOutOfRangeException.ThrowIfNotEqual(output.Rows, left.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(output.Columns, right.Columns);
        if (output.Data.Type is not (ElementType.F32 or ElementType.F64))
            throw new ArgumentOutOfRangeException(nameof(output), output.Data.Type, "a product is F32 or F64");
        if (output.Base.Exists)
            throw new ArgumentException("a product has no base", nameof(output));
    }
}
