namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Words(Philox stream, long first, Span<uint> words)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        for (int i = 0; i < words.Length; i++)
            words[i] = stream.Word(first + i);
    }
}
