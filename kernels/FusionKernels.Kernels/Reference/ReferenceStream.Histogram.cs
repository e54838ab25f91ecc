namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(histograms.Length, chunk.Sources.Length);
        for (int model = 0; model < histograms.Length; model++)
        {
            for (int i = 0; i < chunk.Length; i++)
                histograms[model]?.Count(Element.Magnitude(chunk, chunk.Sources[model], i));
        }
    }
}
