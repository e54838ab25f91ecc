using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// A stream's way between host and device: page-locked memory that is filled piece by piece, each piece on its way while
/// the next one is filled. Only when all of it is on its way does the host wait.
/// </summary>
internal sealed unsafe class Staging : IDisposable
{
    private const int Capacity = 8 << 20, Piece = 1 << 20;

    private readonly AcceleratorStream _queue;
    private readonly PageLockedArray1D<byte> _memory;
    private int _used;

    public Staging(Accelerator accelerator, AcceleratorStream queue)
    {
        _queue = queue;
        _memory = accelerator.AllocatePageLocked1D<byte>(Capacity, uninitialized: true);
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>Begins to fill a view; the host's bytes are no longer needed when this returns.</summary>
    public void Upload(byte* host, ArrayView<byte> view)
    {
        for (long start = 0; start < view.Length;)
        {
            int count = (int)Math.Min(Piece, view.Length - start);
            if (count > Capacity - _used)
                Wait();

            // SAFETY: the caller's memory holds the view's bytes.
            var piece = _memory.Span.Slice(_used, count);
            new ReadOnlySpan<byte>(host + start, count).CopyTo(piece);
            view.SubView(start, count).CopyFromCPUUnsafeAsync(_queue, ref piece[0], count);
            _used += count;
            start += count;
        }
    }

    /// <summary>Waits for all that was asked of the queue, then brings a view's contents to the host.</summary>
    public void Download(ArrayView<byte> view, byte* host)
    {
        Wait();
        for (long start = 0; start < view.Length; start += Capacity)
        {
            int count = (int)Math.Min(Capacity, view.Length - start);
            view.SubView(start, count).CopyToCPUUnsafeAsync(_queue, ref _memory.Span[0], count);
            _queue.Synchronize();
            _memory.Span[..count].CopyTo(new Span<byte>(host + start, count));
        }
    }

    private void Wait()
    {
        _queue.Synchronize();
        _used = 0;
    }
}
