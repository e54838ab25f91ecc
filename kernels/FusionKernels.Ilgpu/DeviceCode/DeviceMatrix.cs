using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>A <see cref="Matrix"/> whose elements, and its base's, lie in device memory.</summary>
internal struct DeviceMatrix
{
    /// <summary>The elements from the first one on.</summary>
    public required ArrayView<byte> Data;

    /// <summary>What is subtracted, laid out likewise; empty where there is no base.</summary>
    public required ArrayView<byte> Base;

    /// <summary>Its shape.</summary>
    public required int Rows, Columns;

    /// <summary>Elements from one row, from one column to the next; one of them is 1.</summary>
    public required long RowStride, ColumnStride;

    /// <summary>Where element <paramref name="i"/> lies, counted as <paramref name="order"/> is stored.</summary>
    public readonly long Place(long i, in DeviceMatrix order)
    {
        long line = order.ColumnStride == 1 ? Columns : Rows, across = i / line, along = i % line;
        return order.ColumnStride == 1
            ? (across * RowStride) + (along * ColumnStride)
            : (along * RowStride) + (across * ColumnStride);
    }
}
