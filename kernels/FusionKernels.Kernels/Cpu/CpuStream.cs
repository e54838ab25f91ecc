using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>A worker on the CPU: one partial file per kernel.</summary>
/// <typeparam name="T">The lanes that the kernels run on.</typeparam>
internal sealed unsafe partial class CpuStream<T> : IKernelStream
    where T : struct, ILanes<T>
{
    private byte[] _scratch = [];

    public void Dispose()
    {
    }

    /// <summary>
    /// The stream's scratch memory, 64-byte aligned; it grows when asked for more, then the old contents are lost.
    /// </summary>
    private byte* Scratch(nint bytes)
    {
        if (_scratch.Length < bytes + 63)
            _scratch = GC.AllocateUninitializedArray<byte>((int)(bytes + 63), pinned: true);

        // SAFETY: the array is pinned for its whole life, and this stream keeps it alive.
        nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_scratch));
        return (byte*)((address + 63) & ~(nint)63);
    }
}
