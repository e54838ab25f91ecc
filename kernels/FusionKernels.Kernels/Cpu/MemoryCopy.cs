using System.Diagnostics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>How fast all cores together copy memory that no cache holds.</summary>
internal static class MemoryCopy
{
    private const int BytesPerThread = 64 << 20, Rounds = 5;

    /// <summary>Bytes read and written a second, the best of a few rounds.</summary>
    public static double Measure()
    {
        int count = Environment.ProcessorCount;
        byte[][] from = [.. Enumerable.Range(0, count).Select(_ => new byte[BytesPerThread])];
        byte[][] to = [.. Enumerable.Range(0, count).Select(_ => new byte[BytesPerThread])];
        using var threads = new ThreadTeam(count, "memory copy");
        double best = 0;
        for (int round = 0; round <= Rounds; round++)
        {
            // Random bytes, and every page touched before a clock runs: the first round only warms up.
            if (round == 0)
                threads.Run(count, (_, i) => new Random(i).NextBytes(from[i]));
            var clock = Stopwatch.StartNew();
            threads.Run(count, (_, i) => from[i].CopyTo(to[i], 0));
            if (round > 0)
                best = Math.Max(best, 2.0 * count * BytesPerThread / clock.Elapsed.TotalSeconds);
        }

        return best;
    }
}
