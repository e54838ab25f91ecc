namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void WriteMask(in Chunk chunk, Span<byte> bits)
    {
        chunk.CheckMask(bits.Length);
        bits[..((chunk.Length + 7) / 8)].Clear();
        for (int i = 0; i < chunk.Length; i++)
        {
            if (Element.Keeps(chunk, chunk.Sources[0], i))
                bits[i / 8] |= (byte)(1 << (i % 8));
        }
    }
}
