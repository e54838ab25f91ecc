namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void WriteMask(in Chunk chunk, Span<byte> bits)
    {
        chunk.CheckMask(bits.Length);
        Source source = chunk.Sources[0];
        byte* tile = Scratch(MaskTile.Bytes(TileLength));
        for (int start = 0; start < chunk.Length; start += TileLength)
        {
            int length = Math.Min(chunk.Length - start, TileLength);
            Source shifted = source with { Data = source.Data.Skip(start) };
            MaskTile.Fill<T>(shifted, chunk.Base.Skip(start), chunk.First + start, length, tile);
            new ReadOnlySpan<byte>(tile, (length + 7) / 8).CopyTo(bits[(start / 8)..]);
        }
    }
}
