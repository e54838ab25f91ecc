namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms) => throw new NotImplementedException();
}
