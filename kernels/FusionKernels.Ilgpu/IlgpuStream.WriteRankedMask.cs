namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits)
        => throw new NotSupportedException("WriteRankedMask is not written for ILGPU yet.");
}
