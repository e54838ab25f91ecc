using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    /// <summary>Bytes of device memory that <see cref="BringMatrix"/> takes.</summary>
    private static long Room(in Matrix matrix) =>
        Lines.Of(matrix).Room(matrix.Data) + Lines.Of(matrix).Room(matrix.Base);

    /// <summary>
    /// A matrix and its base on the device, stored by rows or columns as they are. What is not there yet is brought,
    /// line by line, so that lines begin at multiples of eight elements.
    /// </summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="isAligned">Whether lines must begin there also where the matrix is on the device already.</param>
    internal DeviceMatrix BringMatrix(in Matrix matrix, bool isAligned = false)
    {
        var lines = Lines.Of(matrix);
        DeviceMemory? data = _backend.Memories.Find(matrix.Data.Address);
        DeviceMemory? basis = _backend.Memories.Find(matrix.Base.Address);
        bool isThere = data is not null && (basis is not null || !matrix.Base.Exists);
        if (isThere && (!isAligned || IsAligned(matrix, lines)))
        {
            var baseView = basis?.From(matrix.Base.Address) ?? default;
            return On(matrix, data!.From(matrix.Data.Address), baseView, lines.Stride);
        }

        return On(matrix, BringLines(matrix.Data, lines), BringLines(matrix.Base, lines), lines.Pitch);
    }

    /// <summary>
    /// Where an output is written: in place where the backend holds it, else in device memory without gaps, for
    /// <see cref="Finish"/> to bring home.
    /// </summary>
    /// <param name="output">The output, stored by rows.</param>
    /// <param name="isRead">Whether its contents are brought along.</param>
    private DeviceMatrix BringOutput(in Matrix output, bool isRead)
    {
        var lines = Lines.Of(output);
        if (_backend.Memories.Find(output.Data.Address) is { } memory)
            return On(output, memory.From(output.Data.Address), default, lines.Stride);
        int size = output.Data.Type.Size();
        var view = Take<byte>(lines.Count * lines.Length * size);
        if (isRead)
            Upload(output.Data, lines, view, lines.Length);
        return On(output, view, default, lines.Length);
    }

    /// <summary>Makes a matrix in the device's memory zero, its gaps too.</summary>
    internal void Clear(in Matrix matrix)
    {
        if (matrix.Rows * matrix.RowStride > 0)
        {
            var view = _backend.Memories.Find(matrix.Data.Address)!.From(matrix.Data.Address);
            Clear(view.SubView(0, matrix.Rows * matrix.RowStride * matrix.Data.Type.Size()));
        }
    }

    /// <summary>Brings an output home, and waits until it is written.</summary>
    private void Finish(in Matrix output, in DeviceMatrix written)
    {
        var lines = Lines.Of(output);
        int size = output.Data.Type.Size();
        if (_backend.Memories.Find(output.Data.Address) is not null)
        {
            if (IsWaiting)
                Wait();
        }
        else if (lines.Count * lines.Length > 0)
        {
            var (view, host) = (written.Data, output.Data.Address);
            _backend.Guard(() => _staging.DownloadLines(
                view, (byte*)host, lines.Stride * size, lines.Count, lines.Length * size));
        }
    }

    private static DeviceMatrix On(in Matrix matrix, ArrayView<byte> data, ArrayView<byte> basis, long stride) => new()
    {
        Data = data,
        Base = basis,
        Rows = matrix.Rows,
        Columns = matrix.Columns,
        RowStride = matrix.IsRowMajor ? stride : 1,
        ColumnStride = matrix.IsRowMajor ? 1 : stride,
    };

    private static bool IsAligned(in Matrix matrix, in Lines lines) =>
        lines.Stride % 8 == 0 && matrix.Data.Address % 16 == 0 && matrix.Base.Address % 16 == 0;

    private ArrayView<byte> BringLines(Operand operand, in Lines lines)
    {
        if (!operand.Exists || lines.Count * lines.Length == 0)
            return default;
        var view = Take<byte>(lines.Count * lines.Pitch * operand.Type.Size());
        if (_backend.Memories.Find(operand.Address) is { } memory)
        {
            var source = new Matrix(operand, lines.Count, (int)lines.Length, (nint)lines.Stride);
            var output = source with { RowStride = (nint)lines.Pitch };
            Move(
                new CopyArguments
                {
                    Source = On(source, memory.From(operand.Address), default, lines.Stride),
                    Output = On(output, view, default, lines.Pitch),
                },
                operand.Type.Size());
        }
        else
        {
            Upload(operand, lines, view, lines.Pitch);
        }

        return view;
    }

    // SAFETY: the operand holds its lines.
    private void Upload(Operand operand, Lines lines, ArrayView<byte> view, long pitch)
    {
        int size = operand.Type.Size();
        if (lines.Count * lines.Length == 0)
            return;
        _backend.Guard(() => _staging.UploadLines(
            (byte*)operand.Address, lines.Stride * size, lines.Count, lines.Length * size, view, pitch * size));
    }

    /// <summary>A matrix as it is stored: rows, or columns.</summary>
    /// <param name="Count">How many.</param>
    /// <param name="Length">Elements of each.</param>
    /// <param name="Stride">Elements from one to the next.</param>
    private readonly record struct Lines(int Count, long Length, long Stride)
    {
        /// <summary>The stride on the device: lines begin at multiples of eight elements.</summary>
        public long Pitch => (Length + 7) / 8 * 8;

        public static Lines Of(in Matrix matrix) => matrix.IsRowMajor
            ? new(matrix.Rows, matrix.Columns, matrix.RowStride)
            : new(matrix.Columns, matrix.Rows, matrix.ColumnStride);

        public long Room(Operand operand) => operand.Exists ? Room<byte>(Count * Pitch * operand.Type.Size()) : 0;
    }
}
