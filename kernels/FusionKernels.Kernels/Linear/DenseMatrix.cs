using System.Numerics;
using System.Runtime.InteropServices;

namespace FusionKernels.Kernels;

/// <summary>A matrix with memory of its own on the host, stored row after row without gaps, 64-byte aligned.</summary>
/// <typeparam name="T">float or double.</typeparam>
public sealed unsafe class DenseMatrix<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T* _data;
    private bool _disposed;

    /// <summary>A matrix of zeros.</summary>
    public DenseMatrix(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        (Rows, Columns) = (rows, columns);
        nuint bytes = (nuint)rows * (nuint)columns * (nuint)sizeof(T);
        _data = (T*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_data, bytes);
    }

    /// <summary>Number of rows.</summary>
    public int Rows { get; }

    /// <summary>Number of columns.</summary>
    public int Columns { get; }

    /// <summary>The matrix as an operand of products; valid until <see cref="Dispose"/>.</summary>
    public Matrix View
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ElementType type = typeof(T) == typeof(float) ? ElementType.F32 : ElementType.F64;
            return new(new Operand(type, _data), Rows, Columns);
        }
    }

    /// <summary>An element.</summary>
    public ref T this[int row, int column] => ref Row(row)[column];

    /// <summary>The elements of a row.</summary>
    public Span<T> Row(int row)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);

        // SAFETY: the row lies within the memory that the constructor asked for.
        return new Span<T>(_data + ((nint)row * Columns), Columns);
    }

    /// <summary>A matrix of the same contents.</summary>
    public DenseMatrix<T> Clone()
    {
        var clone = new DenseMatrix<T>(Rows, Columns);
        for (int row = 0; row < Rows; row++)
            Row(row).CopyTo(clone.Row(row));
        return clone;
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        if (!_disposed)
            NativeMemory.AlignedFree(_data);
        _disposed = true;
    }
}
