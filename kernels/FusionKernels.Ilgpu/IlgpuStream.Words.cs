using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // Whole blocks of the stream; the host takes its part of them.
    public void Words(Philox stream, long first, Span<uint> words)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        if (words.IsEmpty)
            return;
        long block = first >> 2, blocks = ((first + words.Length + 3) >> 2) - block;
        Begin(Room<Words4>(blocks));
        var drawn = Take<Words4>(blocks);
        Launch(RandomKernels.Words, new WordsArguments(stream, block, drawn), blocks);

        // SAFETY: the span holds that many words from the first one on.
        fixed (uint* host = words)
            Download(drawn.Cast<uint>().SubView(first & 3, words.Length), host);
    }
}
