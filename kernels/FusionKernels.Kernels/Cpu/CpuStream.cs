using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>A worker on the CPU: one partial file per kernel.</summary>
/// <typeparam name="T">The lanes that the kernels run on.</typeparam>
internal sealed unsafe partial class CpuStream<T> : IKernelStream
    where T : struct, ICpuLanes<T>
{
    private byte[] _scratch = [], _kept = [];

    // The kernels read where the bytes lie.
    public void Hold(void* memory, long bytes)
    {
    }

    public void Release(void* memory, long bytes)
    {
    }

    public void Dispose()
    {
    }

    /// <summary>
    /// The stream's scratch memory, 64-byte aligned; it grows when asked for more, then the old contents are lost.
    /// </summary>
    private byte* Scratch(nint bytes) => Pinned(ref _scratch, bytes);

    /// <summary>More of it, for a kernel that calls another one, which has the scratch memory for itself.</summary>
    private float* Kept(nint floats) => (float*)Pinned(ref _kept, floats * sizeof(float));

    private static byte* Pinned(ref byte[] memory, nint bytes)
    {
        if (memory.Length < bytes + 63)
            memory = GC.AllocateUninitializedArray<byte>(checked((int)(bytes + 63)), pinned: true);

        // SAFETY: the array is pinned for its whole life, and this stream keeps it alive.
        nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(memory));
        return (byte*)((address + 63) & ~(nint)63);
    }
}
