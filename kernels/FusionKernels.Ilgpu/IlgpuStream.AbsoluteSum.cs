namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials)
        => throw new NotSupportedException("AbsoluteSum is not written for ILGPU yet.");
}
