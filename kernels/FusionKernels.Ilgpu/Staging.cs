using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// A stream's way between host and device: page-locked memory that is filled piece by piece, each piece on its way
/// while the next one is filled. Only when all of it is on its way does the host wait.
/// </summary>
internal sealed unsafe class Staging : IDisposable
{
    private const int Capacity = 8 << 20, Piece = 1 << 20;

    private readonly DeviceMemories _memories;
    private readonly AcceleratorStream _queue;
    private readonly PageLockedArray1D<byte> _memory;
    private int _used;

    public Staging(IlgpuBackend backend, AcceleratorStream queue)
    {
        (_memories, _queue) = (backend.Memories, queue);
        _memory = backend.Accelerator.AllocatePageLocked1D<byte>(Capacity, uninitialized: true);
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>
    /// Begins to fill a view from the host's memory, whose bytes are no longer needed when this returns, or from the
    /// device's own.
    /// </summary>
    public void Upload(byte* host, ArrayView<byte> view)
    {
        if (_memories.Find((nint)host) is { } memory)
        {
            memory.From((nint)host).SubView(0, view.Length).CopyTo(_queue, view);
            return;
        }

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

    /// <summary>
    /// Waits for all that was asked of the queue, then brings a view's contents to the host, or to its place.
    /// </summary>
    public void Download(ArrayView<byte> view, byte* host)
    {
        Wait();
        if (_memories.Find((nint)host) is { } memory)
        {
            view.CopyTo(_queue, memory.From((nint)host).SubView(0, view.Length));
            _queue.Synchronize();
            return;
        }

        for (long start = 0; start < view.Length; start += Capacity)
        {
            int count = (int)Math.Min(Capacity, view.Length - start);
            view.SubView(start, count).CopyToCPUUnsafeAsync(_queue, ref _memory.Span[0], count);
            _queue.Synchronize();
            _memory.Span[..count].CopyTo(new Span<byte>(host + start, count));
        }
    }

    /// <summary>
    /// Begins to fill a view with lines of so many bytes, which lie <paramref name="hostPitch"/> bytes apart on the
    /// host and <paramref name="pitch"/> in the view.
    /// </summary>
    public void UploadLines(byte* host, long hostPitch, int lines, long lineBytes, ArrayView<byte> view, long pitch)
    {
        if (lineBytes > Piece)
        {
            for (int line = 0; line < lines; line++)
                Upload(host + (line * hostPitch), view.SubView(line * pitch, lineBytes));
            return;
        }

        int most = (int)(Piece / pitch) + 1;
        for (int first = 0, count; first < lines; first += count)
        {
            count = Math.Min(most, lines - first);
            int bytes = (int)(((count - 1) * pitch) + lineBytes);
            if (bytes > Capacity - _used)
                Wait();
            var piece = _memory.Span.Slice(_used, bytes);
            for (int line = 0; line < count; line++)
            {
                // SAFETY: the caller's memory holds the lines.
                new ReadOnlySpan<byte>(host + ((first + line) * hostPitch), (int)lineBytes)
                    .CopyTo(piece[(int)(line * pitch)..]);
            }

            view.SubView(first * pitch, bytes).CopyFromCPUUnsafeAsync(_queue, ref piece[0], bytes);
            _used += bytes;
        }
    }

    /// <summary>Waits, then brings a view's contents to the host as lines that lie so many bytes apart.</summary>
    public void DownloadLines(ArrayView<byte> view, byte* host, long hostPitch, int lines, long lineBytes)
    {
        if (lineBytes > Capacity)
        {
            for (int line = 0; line < lines; line++)
                Download(view.SubView(line * lineBytes, lineBytes), host + (line * hostPitch));
            return;
        }

        Wait();
        int most = (int)(Capacity / lineBytes);
        for (int first = 0, count; first < lines; first += count)
        {
            count = Math.Min(most, lines - first);
            int bytes = (int)(count * lineBytes);
            view.SubView(first * lineBytes, bytes).CopyToCPUUnsafeAsync(_queue, ref _memory.Span[0], bytes);
            _queue.Synchronize();
            for (int line = 0; line < count; line++)
            {
                _memory.Span.Slice((int)(line * lineBytes), (int)lineBytes)
                    .CopyTo(new Span<byte>(host + ((first + line) * hostPitch), (int)lineBytes));
            }
        }
    }

    private void Wait()
    {
        _queue.Synchronize();
        _used = 0;
    }
}
