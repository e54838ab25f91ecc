namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public long FindTie(in Chunk chunk, uint bits, ref long rank) => throw new NotImplementedException();
}
