namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
        => throw new NotSupportedException("FindTie is not written for ILGPU yet.");
}
