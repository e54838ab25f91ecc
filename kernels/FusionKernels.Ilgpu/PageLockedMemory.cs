using System.Runtime.InteropServices;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>Host memory that a device reads and writes by itself.</summary>
internal sealed unsafe class PageLockedMemory : BackendMemory
{
    private readonly PageLockedMemories _all;
    private readonly PageLockScope<byte> _lock;

    public PageLockedMemory(PageLockedMemories all, Accelerator accelerator, nint bytes)
        : base((nint)NativeMemory.AlignedAlloc((nuint)bytes, HostMemory.Page), bytes)
    {
        _all = all;
        try
        {
            accelerator.Bind();
            _lock = accelerator.CreatePageLockFromPinned<byte>(Address, bytes);
        }
        catch
        {
            NativeMemory.AlignedFree((void*)Address);
            throw;
        }
    }

    public override void Dispose()
    {
        if (!_all.Remove(this))
            return;
        try
        {
            _lock.Dispose();
        }
        catch (AcceleratorException)
        {
            // A device that is lost holds nothing.
        }

        NativeMemory.AlignedFree((void*)Address);
    }
}
