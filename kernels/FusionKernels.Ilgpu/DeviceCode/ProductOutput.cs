using System.Numerics;
using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Where a product goes.</summary>
/// <typeparam name="T">float or double.</typeparam>
internal struct ProductOutput<T>
    where T : unmanaged, INumber<T>
{
    /// <summary>Stored by rows; where the segments of the sum are shared out, a matrix for each.</summary>
    public required ArrayView<T> Data;

    /// <summary>Its shape.</summary>
    public required int Rows, Columns;

    /// <summary>Elements from one row to the next, and from one matrix to the next.</summary>
    public required long RowStride, MatrixStride;

    /// <summary>Steps of the sum in a segment; the sum within one is added to the output.</summary>
    public required int SegmentLength;

    /// <summary>How many segments a group of threads adds up.</summary>
    public required int Segments;

    /// <summary>The output is <c>Alpha * product + Beta * output</c>; with Beta = 0 it is not read.</summary>
    public required T Alpha, Beta;

    /// <summary>Adds a segment's sum to an element, if it lies within.</summary>
    /// <param name="sum">The sum.</param>
    /// <param name="row">The element's row.</param>
    /// <param name="column">The element's column.</param>
    /// <param name="begins">Whether the segment is the first.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Add<TScalar>(T sum, int row, int column, bool begins)
        where TScalar : struct, IScalar<T>
    {
        if (row >= Rows || column >= Columns)
            return;
        long at = (Grid.IdxY * MatrixStride) + (row * RowStride) + column;
        T value = Alpha * sum;
        if (!begins)
            value = TScalar.Add(value, Data[at]);
        else if (Beta != T.Zero)
            value = TScalar.Add(value, Beta * Data[at]);
        Data[at] = value;
    }
}
