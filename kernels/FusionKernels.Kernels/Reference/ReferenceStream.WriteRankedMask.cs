namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits)
    {
        draw.Check(chunk, bits.Length);
        bits[..((chunk.Length + 7) / 8)].Clear();
        var row = new (uint Magnitude, int Index)[draw.Columns];
        for (int group = 0; group < chunk.Length; group += (int)draw.Group)
        {
            for (int first = group; first < group + draw.Stride; first++)
            {
                for (int column = 0; column < row.Length; column++)
                {
                    int index = first + (column * draw.Stride);
                    row[column] = (Element.Magnitude(chunk, chunk.Sources[0], index), index);
                }

                Array.Sort(row);
                for (int rank = 0; rank < row.Length; rank++)
                {
                    int index = row[rank].Index;
                    if (draw.Stream.Word(chunk.First + index) >> 8 < draw.KeepBelow(rank))
                        bits[index / 8] |= (byte)(1 << (index % 8));
                }
            }
        }
    }
}
