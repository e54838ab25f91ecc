using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// A queue of the device with memory of its own: one partial file per kernel. A call brings its operands to the device,
/// runs, brings the results back, and returns when they are there; several streams overlap.
/// </summary>
internal sealed unsafe partial class IlgpuStream : IKernelStream
{
    /// <summary>Threads of a group, for kernels that need no other number.</summary>
    internal const int GroupSize = 256;

    // Beyond this many groups a thread takes several elements: enough to fill any device several times over.
    private const int MostGroups = 4096;

    // Every view begins at a multiple of this, so wide accesses are aligned.
    private const int Alignment = 256;

    // Transfers go through page-locked memory, half of it filling while the other half is on its way.
    private const int StagingBytes = 1 << 23;

    private readonly IlgpuBackend _backend;
    private readonly AcceleratorStream _queue;
    private readonly PageLockedArray1D<byte>[] _staging;
    private MemoryBuffer1D<byte, Stride1D.Dense>? _memory;
    private long _taken;

    public IlgpuStream(IlgpuBackend backend)
    {
        _backend = backend;
        _queue = backend.Accelerator.CreateStream();
        _staging = [NewStaging(), NewStaging()];

        PageLockedArray1D<byte> NewStaging() => backend.Accelerator.AllocatePageLocked1D<byte>(StagingBytes);
    }

    public void Dispose()
    {
        _memory?.Dispose();
        foreach (var part in _staging)
            part.Dispose();
        _queue.Dispose();
    }

    /// <summary>
    /// Begins a call: all device memory is free again, and at least <paramref name="bytes"/> can be taken.
    /// </summary>
    private void Begin(long bytes)
    {
        _taken = 0;
        if (_memory is { } memory && memory.Length >= bytes)
            return;
        _memory?.Dispose();
        _memory = null;
        _memory = _backend.Accelerator.Allocate1D<byte>(Math.Max(Alignment, bytes));
    }

    /// <summary>Bytes of device memory that <see cref="Take"/> uses up for so many elements.</summary>
    private static long Room<T>(long length)
        where T : unmanaged => ((length * sizeof(T)) + Alignment - 1) / Alignment * Alignment;

    /// <summary>Device memory for the rest of the call, of any contents.</summary>
    private ArrayView<T> Take<T>(long length)
        where T : unmanaged
    {
        var bytes = _memory!.View.BaseView.SubView(_taken, length * sizeof(T));
        _taken += Room<T>(length);
        return bytes.Cast<T>();
    }

    /// <summary>Takes device memory and begins to fill it from the host's.</summary>
    private ArrayView<T> Upload<T>(T* host, long length)
        where T : unmanaged
    {
        var view = Take<T>(length);
        Upload((byte*)host, view.Cast<byte>());
        return view;
    }

    // SAFETY: the host memory holds the view's bytes.
    private void Upload(byte* host, ArrayView<byte> view)
    {
        int turn = 0;
        for (long start = 0; start < view.Length; start += StagingBytes, turn++)
        {
            if (turn % _staging.Length == 0)
                _queue.Synchronize();
            int count = (int)Math.Min(StagingBytes, view.Length - start);
            var part = _staging[turn % _staging.Length];
            new ReadOnlySpan<byte>(host + start, count).CopyTo(part.Span);
            view.SubView(start, count).CopyFromCPUUnsafeAsync(_queue, ref part.Span[0], count);
        }
    }

    /// <summary>Waits for the queue and brings a view's contents to the host.</summary>
    private void Download<T>(ArrayView<T> view, T* host)
        where T : unmanaged
    {
        var bytes = view.Cast<byte>();
        for (long start = 0; start < bytes.Length; start += StagingBytes)
        {
            int count = (int)Math.Min(StagingBytes, bytes.Length - start);
            bytes.SubView(start, count).CopyToCPUUnsafeAsync(_queue, ref _staging[0].Span[0], count);
            _queue.Synchronize();
            _staging[0].Span[..count].CopyTo(new Span<byte>((byte*)host + start, count));
        }
    }

    /// <summary>Runs a kernel whose threads take <paramref name="items"/> items in turn (grid-stride).</summary>
    private void Launch<TArguments>(Action<TArguments> kernel, in TArguments arguments, long items)
        where TArguments : struct
    {
        if (items > 0)
            _backend.Launch(_queue, kernel, arguments, ((int)Math.Min(MostGroups, (items + GroupSize - 1) / GroupSize), GroupSize));
    }
}
