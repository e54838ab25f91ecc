namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void WriteMask(in Chunk chunk, Span<byte> bits)
        => throw new NotSupportedException("WriteMask is not written for ILGPU yet.");
}
