namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);
        int count = 0;
        for (int i = 0; i < chunk.Length; i++)
        {
            if ((chunk.First + i) % stride == 0)
                magnitudes[count++] = Element.Magnitude(chunk, chunk.Sources[0], i);
        }

        return count;
    }
}
