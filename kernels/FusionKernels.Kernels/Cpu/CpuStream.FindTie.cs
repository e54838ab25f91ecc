using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // Whole tiles are counted until the one that holds the wanted tie, and that one is walked register by register. A tile is
    // padded to whole registers with elements that differ from the bits sought.
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        var tile = new DeltaTiles<T>(chunk, (float*)Scratch(DeltaTiles<T>.Scratch * sizeof(float)));
        while (tile.Next())
        {
            float* deltas = tile.Deltas(0);
            new Span<uint>(deltas + tile.Length, tile.Padded - tile.Length).Fill(~bits & 0x7FFF_FFFF);
            long ties = CountEqual(deltas, tile.Length, bits);
            if (rank >= ties)
            {
                rank -= ties;
                continue;
            }

            int place = IndexOfEqual(deltas, bits, (int)rank);
            rank = 0;
            return chunk.First + tile.Offset + place;
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long CountEqual(float* deltas, int length, uint bits)
    {
        T sought = T.SplatBits(bits);
        long count = 0;
        for (int i = 0; i < length; i += T.Count)
            count += BitOperations.PopCount(T.BitsEqual(T.Abs(T.Load((byte*)(deltas + i), sizeof(float))), sought));
        return count;
    }

    private static int IndexOfEqual(float* deltas, uint bits, int rank)
    {
        T sought = T.SplatBits(bits);
        for (int i = 0; ; i += T.Count)
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
            return i + BitOperations.TrailingZeroCount(equal);
        }
    }
}
