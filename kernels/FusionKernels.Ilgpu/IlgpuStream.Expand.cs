namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output)
        => throw new NotSupportedException("Expand is not written for ILGPU yet.");
}
