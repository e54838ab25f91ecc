using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(histograms.Length, chunk.Sources.Length);
        var tile = new DeltaTiles<T>(chunk, (float*)Scratch(DeltaTiles<T>.Scratch * sizeof(float)));
        while (tile.Next())
        {
            for (int model = 0; model < histograms.Length; model++)
            {
                if (histograms[model] is { } histogram)
                    Count(tile.Deltas(model), tile.Length, histogram);
            }
        }
    }

    // Two comparisons per register tell which lanes lie above the bracket, which are counted by their number, and which lie
    // within, which are counted one by one: few of them where the bracket came from a sample. A zero delta is frequent (a tensor that
    // training did not touch) and would hit one counter again and again, so zeros are counted by their number too.
    private static void Count(float* deltas, int length, MagnitudeHistogram histogram)
    {
        uint low = histogram.Low;
        int shift = histogram.Shift;
        long above = 0, zeros = 0;
        T lowest = T.SplatBits(Math.Max(low, 1)), highest = T.SplatBits(histogram.High), zero = T.SplatBits(0);
        uint all = (uint)((1ul << T.Count) - 1);
        int i = 0;
        fixed (long* counts = histogram.Counts)
        fixed (uint* seen = histogram.Seen)
        {
            for (; i <= length - T.Count; i += T.Count)
            {
                T magnitudes = T.Abs(T.Load((byte*)(deltas + i), sizeof(float)));
                uint tooLarge = T.BitsGreater(magnitudes, highest), tooSmall = T.BitsGreater(lowest, magnitudes);
                above += BitOperations.PopCount(tooLarge);
                if (low == 0 && tooSmall != 0)
                    zeros += BitOperations.PopCount(tooSmall);
                uint inside = all & ~(tooLarge | tooSmall);
                if (inside == 0)
                    continue;
                T.Store(magnitudes, (byte*)(deltas + i), sizeof(float));
                if (inside == all)
                {
                    for (int lane = 0; lane < T.Count; lane++)
                        CountOne(((uint*)deltas)[i + lane] - low, shift, counts, seen);
                }
                else
                {
                    for (; inside != 0; inside &= inside - 1)
                        CountOne(((uint*)deltas)[i + BitOperations.TrailingZeroCount(inside)] - low, shift, counts, seen);
                }
            }
        }

        for (; i < length; i++)
            histogram.Count(((uint*)deltas)[i] & 0x7FFF_FFFF);
        histogram.Above += above;
        if (zeros > 0)
        {
            histogram.Counts[0] += zeros;
            histogram.Seen[0] |= MagnitudeHistogram.Trace(0, shift);
        }
    }

    // Most elements leave a trace that is there already; not writing it again keeps equal neighbours from waiting for each other.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CountOne(uint offset, int shift, long* counts, uint* seen)
    {
        uint bin = offset >> shift;
        counts[bin]++;
        uint trace = MagnitudeHistogram.Trace(offset, shift);
        if ((seen[bin] & trace) != trace)
            seen[bin] |= trace;
    }
}
