using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // Every group of threads adds its table to the counts, so few groups are better than many.
    private const int HistogramGroups = 4;

    public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(histograms.Length, chunk.Sources.Length);
        chunk.Check();
        var sources = new List<Source>();
        var counted = new List<MagnitudeHistogram>();
        for (int model = 0; model < histograms.Length; model++)
        {
            if (histograms[model] is not { } histogram)
                continue;
            sources.Add(new Source(chunk.Sources[model].Data));
            counted.Add(histogram);
        }

        if (counted.Count == 0)
            return;
        var pass = new HistogramPass(this, chunk.With(chunk.Base, sources.ToArray()), [.. counted]);
        Codec.Select(InputType(pass.Chunk), ref pass);
    }

    private readonly ref struct HistogramPass(IlgpuStream stream, in Chunk chunk, MagnitudeHistogram[] histograms)
        : ICodecAction
    {
        public readonly Chunk Chunk = chunk;

        public void Invoke<TIn>()
            where TIn : struct, ICodec
        {
            var brackets = stackalloc Bracket[histograms.Length];
            int bins = 0;
            for (int i = 0; i < histograms.Length; i++)
            {
                var h = histograms[i];
                brackets[i] = new Bracket { Low = h.Low, High = h.High, Shift = h.Shift, First = bins };
                bins += h.Counts.Length + 1;
            }

            uint[] counts = new uint[bins], seen = new uint[bins];
            int most = stream.PieceLength(Chunk, 0);
            for (int start = 0; start < Chunk.Length; start += most)
            {
                int length = Math.Min(most, Chunk.Length - start);
                stream.Begin(Room(Chunk, length) + Room<Bracket>(histograms.Length) + (2 * Room<uint>(bins)));
                var arguments = new HistogramArguments
                {
                    Chunk = stream.Bring(Chunk, start, length, InputType(Chunk)),
                    Brackets = stream.Upload(brackets, histograms.Length),
                    Counts = stream.Take<uint>(bins),
                    Seen = stream.Take<uint>(bins),
                };
                stream.Clear(arguments.Counts);
                stream.Clear(arguments.Seen);
                stream.Launch(SelectKernels.Histogram<TIn>, arguments, arguments.Chunk.Groups, HistogramGroups);

                // SAFETY: the arrays have a place for every bin.
                fixed (uint* hostCounts = counts, hostSeen = seen)
                {
                    stream.Download(arguments.Counts, hostCounts);
                    stream.Download(arguments.Seen, hostSeen);
                }

                for (int i = 0; i < histograms.Length; i++)
                    Add(histograms[i], counts.AsSpan(brackets[i].First), seen.AsSpan(brackets[i].First));
            }
        }

        private static void Add(MagnitudeHistogram histogram, ReadOnlySpan<uint> counts, ReadOnlySpan<uint> seen)
        {
            for (int bin = 0; bin < histogram.Counts.Length; bin++)
            {
                histogram.Counts[bin] += counts[bin];
                histogram.Seen[bin] |= seen[bin];
            }

            histogram.Above += counts[histogram.Counts.Length];
        }
    }
}
