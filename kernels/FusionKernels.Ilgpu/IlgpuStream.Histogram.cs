namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
        => throw new NotSupportedException("Histogram is not written for ILGPU yet.");
}
