namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count)
        => throw new NotSupportedException("Shrink is not written for ILGPU yet.");
}
