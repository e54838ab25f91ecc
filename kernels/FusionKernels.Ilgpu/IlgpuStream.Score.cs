namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Score(GatedLinear layer, in Matrix input, int expert, Routing routing)
        => throw new NotSupportedException("Score is not written for ILGPU yet.");
}
