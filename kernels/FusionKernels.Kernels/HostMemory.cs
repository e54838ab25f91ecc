using System.Runtime.InteropServices;

namespace FusionKernels.Kernels;

/// <summary>Host memory, 64-byte aligned.</summary>
/// <param name="bytes">Its length.</param>
internal sealed unsafe class HostMemory(nint bytes)
    : BackendMemory((nint)NativeMemory.AlignedAlloc((nuint)bytes, 64), bytes)
{
    private bool _disposed;

    public override void Dispose()
    {
        if (!_disposed)
            NativeMemory.AlignedFree((void*)Address);
        _disposed = true;
    }
}
