using System.Numerics;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // Counts equal lanes register by register until the one that holds the wanted tie. The last tile is padded with
    // elements that differ from the bits sought.
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        T sought = T.SplatBits(bits);
        var tile = new DeltaTiles<T>(chunk, (float*)Scratch(DeltaTiles<T>.Scratch * sizeof(float)));
        while (tile.Next())
        {
            float* deltas = tile.Deltas(0);
            new Span<uint>(deltas + tile.Length, tile.Padded - tile.Length).Fill(~bits & 0x7FFF_FFFF);
            for (int i = 0; i < tile.Length; i += T.Count)
            {
                uint equal = T.BitsEqual(T.Abs(T.Load((byte*)(deltas + i), sizeof(float))), sought);
                int count = BitOperations.PopCount(equal);
                if (rank >= count)
                {
                    rank -= count;
                    continue;
                }

                for (; rank > 0; rank--)
                    equal &= equal - 1;
                return chunk.First + tile.Offset + i + BitOperations.TrailingZeroCount(equal);
            }
        }

        return -1;
    }
}
