namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Gram(in Chunk chunk, Span<double> partials)
        => throw new NotSupportedException("Gram is not written for ILGPU yet.");
}
