namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms) => throw new NotImplementedException();
}
