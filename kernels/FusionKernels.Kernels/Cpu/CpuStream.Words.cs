namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Words(Philox stream, long first, Span<uint> words) => throw new NotImplementedException();
}
