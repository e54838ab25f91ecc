using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Sums that no compiler fuses with a product: CUDA's would, unless the instruction says how it rounds. Products need
/// no such care, because it takes a sum to fuse them.
/// </summary>
internal static class Exact
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Add(float left, float right)
    {
        if (!CudaAsm.IsSupported)
            return left + right;
        CudaAsm.Emit("add.rn.f32 %0, %1, %2;", out float sum, left, right);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Subtract(float left, float right)
    {
        if (!CudaAsm.IsSupported)
            return left - right;
        CudaAsm.Emit("sub.rn.f32 %0, %1, %2;", out float difference, left, right);
        return difference;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Add(double left, double right)
    {
        if (!CudaAsm.IsSupported)
            return left + right;
        CudaAsm.Emit("add.rn.f64 %0, %1, %2;", out double sum, left, right);
        return sum;
    }
}
