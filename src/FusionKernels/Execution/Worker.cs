using System.Runtime.InteropServices;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Models;

namespace FusionKernels.Execution;

/// <summary>One worker: a kernel stream and scratch memory of its own. Alone it is a team of one.</summary>
internal sealed unsafe class Worker : Workers, IDisposable
{
    // Page alignment lets the kernel's copy into the scratch memory run at full width.
    private const nuint Alignment = 4096;
    private readonly CancellationToken _cancellation;
    private readonly List<Fetched> _fetched = [];
    private readonly List<DeviceFailure> _failures = [];
    private IKernelBackend _backend;
    private (IKernelBackend Backend, IKernelStream Stream)? _left;
    private byte* _scratch;
    private nint _scratchBytes;

    public Worker(IKernelBackend backend, int index, CancellationToken cancellation)
    {
        _backend = backend;
        (Stream, Index, _cancellation) = (backend.OpenStream(), index, cancellation);
    }

    /// <summary>The worker's kernel stream.</summary>
    public IKernelStream Stream { get; private set; }

    /// <summary>When the worker left its device, and why.</summary>
    public IReadOnlyList<DeviceFailure> Failures => _failures;

    /// <summary>Place in the team.</summary>
    public int Index { get; }

    /// <inheritdoc/>
    public override IKernelBackend Backend => _backend;

    /// <inheritdoc/>
    public override int Count => 1;

    /// <inheritdoc/>
    public override void Run(int items, Action<Worker, int> body)
    {
        for (int item = 0; item < items; item++)
        {
            _cancellation.ThrowIfCancellationRequested();
            body(this, item);
        }
    }

    /// <inheritdoc/>
    public override bool FallBack(DeviceFailure failure)
    {
        if (_left is not null || _failures is [.., { IsOutOfMemory: false }])
            return false;
        _failures.Add(failure);
        Overwrite(_scratch, _scratchBytes);
        if (failure.IsOutOfMemory)
            _left = (_backend, Stream);
        else
            Stream.Dispose();
        _backend = new CpuBackend();
        Stream = _backend.OpenStream();
        return true;
    }

    /// <inheritdoc/>
    public override void Return()
    {
        if (_left is not { } device)
            return;
        Stream.Dispose();
        (_backend, Stream) = device;
        _left = null;
    }

    /// <summary>Scratch memory of at least <paramref name="bytes"/>, valid until the next call.</summary>
    public byte* Scratch(nint bytes) => Inputs(bytes, bytes);

    /// <summary>
    /// The same memory for <see cref="Fetch"/>, which leaves alone what is there already: passes that follow each other
    /// over a tensor of one chunk read it once.
    /// </summary>
    /// <param name="bytes">How much.</param>
    /// <param name="free">How much of it, from the beginning, is for the caller's own use.</param>
    public byte* Inputs(nint bytes, nint free)
    {
        if (bytes > _scratchBytes)
        {
            Overwrite(_scratch, _scratchBytes);
            NativeMemory.AlignedFree(_scratch);
            _scratch = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, Alignment);
            _scratchBytes = bytes;
            free = bytes;
        }

        Overwrite(_scratch, free);
        return _scratch;
    }

    /// <summary>Some of a tensor's bytes: where they lie, or in <paramref name="into"/>.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="into">Part of <see cref="Inputs"/>.</param>
    /// <param name="read">Counts bytes that were read.</param>
    public byte* Fetch(ModelTensor tensor, long offset, nint bytes, byte* into, ref long read)
    {
        var wanted = new Fetched(tensor, offset, bytes, (nint)into);
        if (_fetched.Contains(wanted))
            return into;
        Overwrite(into, bytes);
        read += bytes;

        // SAFETY: the caller's part of the scratch memory has room for the bytes.
        byte* where = tensor.Fetch(offset, bytes, into);
        if (where == into)
        {
            _fetched.Add(wanted);
            Stream.Hold(into, bytes);
        }

        return where;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_scratch);
        _scratch = null;
        _scratchBytes = 0;
        Stream.Dispose();
        _left?.Stream.Dispose();
    }

    private void Overwrite(byte* from, nint bytes)
    {
        if (_fetched.RemoveAll(f => f.Into < (nint)from + bytes && (nint)from < f.Into + f.Bytes) > 0)
            Stream.Release(from, bytes);
    }

    /// <summary>What a part of the scratch memory holds.</summary>
    private readonly record struct Fetched(ModelTensor Tensor, long Offset, nint Bytes, nint Into);
}
