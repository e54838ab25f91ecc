namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms) => throw new NotImplementedException();
}
