using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    /// <summary>Elements whose words are made at a time, unless a group of rows is longer.</summary>
    private const int RankedBatch = 4096;

    /// <summary>Words that <see cref="PhiloxLanes.Words"/> makes in one turn of its widest lanes.</summary>
    private const int WordTurn = 128;

    /// <summary>
    /// Tables of <see cref="KeepBelow"/> that are kept: a few models' parameters for a few lengths of rows.
    /// </summary>
    private const int MostTables = 16;

    private readonly Dictionary<(double Density, double Epsilon, int Columns), uint[]> _keepBelow = [];

    // Batch after batch: the words of some groups of rows, then each row by itself. Where a row's elements lie apart the
    // batch's magnitudes come first, and the row's are brought together. A row's bits may begin anywhere in a byte, so
    // they are added to the chunk's bits in scratch.
    // SAFETY: every part of scratch has room for what is written into it, whole registers included.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits)
    {
        draw.Check(chunk, bits.Length);
        if (chunk.Length == 0)
            return;
        int group = (int)draw.Group, stride = draw.Stride;
        int batch = Math.Min(chunk.Length, Math.Max(1, RankedBatch / group) * group);
        nint tile = stride == 1 ? 0 : batch * (nint)sizeof(uint), drawn = ((nint)batch + 4 + WordTurn) * sizeof(uint);
        nint kept = (chunk.Length / 8) + 16;
        byte* scratch = Scratch(tile + drawn + RankedRow.Bytes(draw.Columns) + kept);
        uint* magnitudes = (uint*)scratch, words = (uint*)(scratch + tile);
        var row = new RankedRow((byte*)words + drawn, draw.Columns);
        byte* output = (byte*)words + drawn + RankedRow.Bytes(draw.Columns);
        Unsafe.InitBlockUnaligned(output, 0, (uint)kept);

        fixed (uint* table = KeepBelow(draw))
        {
            for (int start = 0; start < chunk.Length; start += batch)
            {
                int length = Math.Min(batch, chunk.Length - start);
                Operand data = chunk.Sources[0].Data.Skip(start), basis = chunk.Base.Skip(start);
                if (stride > 1)
                    MagnitudeTile.Write<T>(data, basis, length, magnitudes);

                // Whole turns from a block's begin, because single words cost a block each.
                long first = chunk.First + start;
                int before = (int)(first & 3), count = (before + length + WordTurn - 1) / WordTurn * WordTurn;
                PhiloxLanes.Words(draw.Stream, first - before, new Span<uint>(words, count));
                for (int at = 0; at < length; at += group)
                {
                    for (int lane = 0; lane < stride; lane++)
                    {
                        if (stride == 1)
                            row.Bring(data.Skip(at), basis.Skip(at));
                        else
                            row.Bring(magnitudes + at + lane, stride);
                        row.Decide(words + before + at + lane, stride, table + 1);
                        row.AddTo(output, start + at + lane, stride);
                    }
                }
            }
        }

        new ReadOnlySpan<byte>(output, (chunk.Length + 7) / 8).CopyTo(bits);
    }

    /// <summary>
    /// <see cref="RankedDraw.KeepBelow"/> by rank, after one number that stands for no rank and before another.
    /// </summary>
    private uint[] KeepBelow(in RankedDraw draw)
    {
        var key = (draw.Density, draw.Epsilon, draw.Columns);
        if (_keepBelow.TryGetValue(key, out uint[]? table))
            return table;
        if (_keepBelow.Count == MostTables)
            _keepBelow.Clear();
        table = new uint[draw.Columns + 2];
        for (int rank = 0; rank < draw.Columns; rank++)
            table[rank + 1] = draw.KeepBelow(rank);
        _keepBelow.Add(key, table);
        return table;
    }
}
