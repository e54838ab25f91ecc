using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>How far a thread moves on when it takes several items: by as many as there are threads.</summary>
internal static class GridStride
{
    public static long X => (long)Grid.DimX * Group.DimX;
}
