using System.Runtime.InteropServices;

namespace FusionKernels.Kernels;

/// <summary>Host memory.</summary>
/// <param name="bytes">Its length.</param>
/// <param name="alignment">What divides its address.</param>
internal sealed unsafe class HostMemory(nint bytes, nuint alignment = 64)
    : BackendMemory((nint)NativeMemory.AlignedAlloc((nuint)bytes, alignment), bytes)
{
    /// <summary>The alignment of memory that begins at a page.</summary>
    public const nuint Page = 4096;

    private bool _disposed;

    public override void Dispose()
    {
        if (!_disposed)
            NativeMemory.AlignedFree((void*)Address);
        _disposed = true;
    }
}
