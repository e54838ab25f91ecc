using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // Tile by tile and model by model, so that a base's tile is read from memory once. The magnitudes within the bracket
    // are packed first, then counted one by one in a loop that has nothing to guess.
    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(histograms.Length, chunk.Sources.Length);
        chunk.Check();
        uint* offsets = (uint*)Scratch((TileLength + T.Count) * sizeof(uint));
        for (int start = 0; start < chunk.Length; start += TileLength)
        {
            int length = Math.Min(TileLength, chunk.Length - start);
            Operand basis = chunk.Base.Exists ? chunk.Base.Skip(start) : default;
            for (int model = 0; model < histograms.Length; model++)
            {
                if (histograms[model] is { } histogram)
                    Count(histogram, chunk.Sources[model].Data.Skip(start), basis, length, offsets);
            }
        }
    }

    // Zeros are frequent (elements that training did not touch) and would all wait for one bin, so where the bracket
    // begins at zero only what follows is packed, and zeros are what is neither within nor above.
    private static void Count(MagnitudeHistogram histogram, Operand data, Operand basis, int length, uint* offsets)
    {
        bool zeros = histogram is { Low: 0, High: > 0 };
        uint low = zeros ? 1 : histogram.Low;
        (int above, int within) = MagnitudeTile.Pack<T>(data, basis, length, low, histogram.High, offsets);
        histogram.Above += above;
        if (zeros && length - above - within is > 0 and var untouched)
        {
            histogram.Counts[0] += untouched;
            histogram.Seen[0] |= MagnitudeHistogram.Trace(0, histogram.Shift);
        }

        Count(histogram, offsets, within, low - histogram.Low);
    }

    // SAFETY: offsets lie within the bracket, so their bins exist.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Count(MagnitudeHistogram histogram, uint* offsets, int count, uint from)
    {
        int shift = histogram.Shift;
        fixed (long* counts = histogram.Counts)
        fixed (uint* seen = histogram.Seen)
        {
            for (int i = 0; i < count; i++)
            {
                uint offset = offsets[i] + from, bin = offset >> shift;
                counts[bin]++;
                uint trace = MagnitudeHistogram.Trace(offset, shift);
                if ((seen[bin] & trace) != trace)
                    seen[bin] |= trace;
            }
        }
    }
}
