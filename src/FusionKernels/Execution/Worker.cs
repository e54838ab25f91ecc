using System.Runtime.InteropServices;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>One worker: a kernel stream and scratch memory of its own. Alone it is a team of one.</summary>
internal sealed unsafe class Worker : Workers, IDisposable
{
    // Page alignment lets the kernel's copy into the scratch memory run at full width.
    private const nuint Alignment = 4096;
    private readonly CancellationToken _cancellation;
    private byte* _scratch;
    private nint _scratchBytes;

    public Worker(IKernelBackend backend, int index, CancellationToken cancellation)
    {
        (Backend, Stream, Index, _cancellation) = (backend, backend.OpenStream(), index, cancellation);
    }

    /// <summary>The worker's kernel stream.</summary>
    public IKernelStream Stream { get; }

    /// <summary>Place in the team.</summary>
    public int Index { get; }

    /// <inheritdoc/>
    public override IKernelBackend Backend { get; }

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

    /// <summary>Scratch memory of at least <paramref name="bytes"/>, valid until the next call.</summary>
    public byte* Scratch(nint bytes)
    {
        if (bytes > _scratchBytes)
        {
            NativeMemory.AlignedFree(_scratch);
            _scratch = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, Alignment);
            _scratchBytes = bytes;
        }

        return _scratch;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_scratch);
        _scratch = null;
        _scratchBytes = 0;
        Stream.Dispose();
    }
}
