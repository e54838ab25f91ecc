using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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

    // Two comparisons per register tell which lanes lie above the bracket, which are counted by their number, and which
    // lie within. Those are moved to the tile's front, where nothing is left to read, and counted one by one in a loop
    // that has nothing to guess. A zero delta is frequent (a tensor that training did not touch), so zeros too are
    // counted by their number.
    private static void Count(float* deltas, int length, MagnitudeHistogram histogram)
    {
        uint low = histogram.Low;
        int shift = histogram.Shift, above = 0, zeros = 0, found = 0;
        T lowest = T.SplatBits(Math.Max(low, 1)), highest = T.SplatBits(histogram.High);
        uint all = (uint)((1ul << T.Count) - 1);
        uint* inside = (uint*)deltas;
        int i = 0;
        for (; i <= length - T.Count; i += T.Count)
        {
            T magnitudes = T.Abs(T.Load((byte*)(deltas + i), sizeof(float)));
            uint tooLarge = T.BitsGreater(magnitudes, highest), tooSmall = T.BitsGreater(lowest, magnitudes);
            above += BitOperations.PopCount(tooLarge);
            zeros += low == 0 ? BitOperations.PopCount(tooSmall) : 0;
            uint keep = all & ~(tooLarge | tooSmall);
            if (keep != 0)
                found += Compact(magnitudes, keep, inside + i, inside + found);
        }

        for (; i < length; i++)
            histogram.Count(inside[i] & 0x7FFF_FFFF);
        histogram.Above += above;
        if (zeros > 0)
        {
            histogram.Counts[0] += zeros;
            histogram.Seen[0] |= MagnitudeHistogram.Trace(0, shift);
        }

        // SAFETY: all that was kept lies in the bracket, so its bin exists.
        fixed (long* counts = histogram.Counts)
        fixed (uint* seen = histogram.Seen)
        {
            for (i = 0; i < found; i++)
            {
                uint offset = inside[i] - low, bin = offset >> shift;
                counts[bin]++;
                uint trace = MagnitudeHistogram.Trace(offset, shift);
                if ((seen[bin] & trace) != trace)
                    seen[bin] |= trace;
            }
        }
    }

    /// <summary>
    /// Writes the lanes whose bit is set one after the other; returns how many. May write a whole register. With AVX2
    /// the places of the set bits are gathered as bytes of a word (a mask byte per lane, then an extraction from the
    /// bytes 0, 1, ... 7) and become the index of a permutation.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Compact(T values, uint keep, uint* source, uint* destination)
    {
        T.Store(values, (byte*)source, sizeof(float));
        if (T.Count == 16 && Avx512F.IsSupported)
        {
            Vector512<uint> lane = Vector512.Create(
                1u, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
            Vector512<uint> mask = Vector512.Equals(Vector512.Create(keep) & lane, lane);
            Avx512F.Compress(Vector512<uint>.Zero, mask, Vector512.Load(source)).Store(destination);
        }
        else if (T.Count == 8 && Avx2.IsSupported && Bmi2.X64.IsSupported)
        {
            ulong lanes = Bmi2.X64.ParallelBitDeposit(keep, 0x0101_0101_0101_0101) * 0xFF;
            ulong places = Bmi2.X64.ParallelBitExtract(0x0706_0504_0302_0100, lanes);
            Vector256<int> index = Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(places).AsByte());
            Avx2.PermuteVar8x32(Vector256.Load(source), index.AsUInt32()).Store(destination);
        }
        else
        {
            for (uint rest = keep; rest != 0; rest &= rest - 1)
                *destination++ = source[BitOperations.TrailingZeroCount(rest)];
        }

        return BitOperations.PopCount(keep);
    }
}
