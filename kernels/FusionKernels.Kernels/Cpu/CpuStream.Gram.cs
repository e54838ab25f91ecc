namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Gram(in Chunk chunk, Span<double> partials) => throw new NotImplementedException();
}
