using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Values that are computed once, where it is written: ILGPU moves a computation to where its result is used, also
/// into a loop, and a division or a chain of additions does not always come out again.
/// </summary>
internal static class Pinned
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Value(int value)
    {
        if (!CudaAsm.IsSupported)
            return value;
        CudaAsm.Emit("mov.b32 %0, %1;", out int pinned, value);
        return pinned;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Value(long value)
    {
        if (!CudaAsm.IsSupported)
            return value;
        CudaAsm.Emit("mov.b64 %0, %1;", out long pinned, value);
        return pinned;
    }
}
