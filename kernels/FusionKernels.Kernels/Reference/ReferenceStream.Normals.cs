namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Normals(Philox stream, long first, Span<float> normals)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        for (int i = 0; i < normals.Length; i++)
        {
            long even = (first + i) & ~1L;
            var pair = BoxMuller.Pair(stream.Word(even), stream.Word(even + 1));
            normals[i] = ((first + i) & 1) == 0 ? pair.Even : pair.Odd;
        }
    }
}
