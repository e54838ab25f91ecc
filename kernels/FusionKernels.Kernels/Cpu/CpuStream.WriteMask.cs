namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream
{
    public void WriteMask(in Chunk chunk, Span<byte> bits) => throw new NotImplementedException();
}
