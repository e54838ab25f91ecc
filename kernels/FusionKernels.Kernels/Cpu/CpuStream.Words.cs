namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Words(Philox stream, long first, Span<uint> words)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        PhiloxLanes.Words(stream, first, words);
    }
}
