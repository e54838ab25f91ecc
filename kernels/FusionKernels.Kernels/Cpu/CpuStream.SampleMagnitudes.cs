namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);

        // A sample is thousands of elements far apart: nothing to vectorise. Each is a chunk of its own.
        int count = 0;
        for (long i = (stride - (chunk.First % stride)) % stride; i < chunk.Length; i += stride)
            magnitudes[count++] = Reference.Element.Magnitude(chunk, chunk.Sources[0], (int)i);
        return count;
    }
}
