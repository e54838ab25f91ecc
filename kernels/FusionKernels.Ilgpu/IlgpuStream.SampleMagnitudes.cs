namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes)
        => throw new NotSupportedException("SampleMagnitudes is not written for ILGPU yet.");
}
