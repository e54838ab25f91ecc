namespace FusionKernels.Kernels.Cpu;

/// <summary>TEMPORARY.</summary>
internal static unsafe class MaskTile
{
    public static void Fill(in Source source, Operand basis, long first, int length, byte* bits)
    {
        var m = source.Mask;
        new Span<byte>(bits, (length + 7) / 8).Clear();
        Source[] s = [source];
        var chunk = new Chunk { First = first, Length = length, Base = basis, Sources = s };
        if (m.Kind == MaskKind.Random)
        {
            PhiloxLanes.KeepBits(m.Random, first, length, m.DropBelow, bits);
            return;
        }

        for (int i = 0; i < length; i++)
            bits[i / 8] |= (byte)(Reference.Element.Keeps(chunk, source, i) ? 1 << (i % 8) : 0);
    }
}
