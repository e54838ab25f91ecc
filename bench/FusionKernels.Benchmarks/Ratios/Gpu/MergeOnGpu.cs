using System.Diagnostics;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Ilgpu;
using FusionKernels.Recipes;
using ILGPU.Runtime;

namespace FusionKernels.Benchmarks.Ratios.Gpu;

/// <summary>
/// A whole merge on a device, from recipe to finished folder, against bringing the models' bytes there once from
/// page-locked memory: what a merge that waits for nothing else would take. One worker per processor.
/// </summary>
internal static class MergeOnGpu
{
    private const string Name = "gpu/merge-ties";
    private const int Rounds = 3;
    private const long UploadBytes = 256 << 20;

    // Largest tensors but two fit whole into a chunk of each of 16 workers.
    private const long MemoryBytes = 12L << 30;

    /// <summary>Measures the case.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options) =>
        GpuCases.Run(options, [(Name, () => MeasureTies(options))]);

    private static Ratio MeasureTies(RatioOptions options)
    {
        var set = CheckpointSet.OpenOrCreate(options.Set);
        Recipe recipe = set.Experts
            .Aggregate(Recipe.For("ties"), (r, model) => r.Add(model, ("weight", 1), ("density", 0.5)))
            .WithBase(set.Base);
        string output = Path.Combine(options.Out, $"fusionkernels-ratios-{Environment.ProcessId}");
        string[] folders = [$"{output}-cpu", $"{output}-device"];
        try
        {
            double onCpu = Merge(recipe, folders[0], new MergeOptions { MemoryBytes = MemoryBytes });
            using var backend = IlgpuBackend.Open(options.Device);
            double rate = MeasureUpload(backend);
            var on = new MergeOptions { MemoryBytes = MemoryBytes, Backend = backend };
            var seconds = new List<double>();
            for (int round = 0; round <= Rounds; round++)
            {
                seconds.Add(Merge(recipe, folders[1], on));
                if (round == 0)
                    Compare(folders[0], folders[1]);
                Directory.Delete(folders[1], recursive: true);
            }

            string all = string.Join(' ', seconds.Select(s => s.ToString("F3")));
            Console.Error.WriteLine($"{Name}: {all} s, the CPU {onCpu:F3}; upload {rate / 1e9:F1} GB/s");
            double least = CheckpointSet.DiskBytes / rate;
            return new Ratio(Name, Pairs.Median([.. seconds.Skip(1)]), "uploading the models once", least, 0.7);
        }
        finally
        {
            foreach (string folder in folders.Where(Directory.Exists))
                Directory.Delete(folder, recursive: true);
        }
    }

    private static double Merge(Recipe recipe, string output, MergeOptions options)
    {
        long start = Stopwatch.GetTimestamp();
        var report = FusionKernels.Merge.RunAsync(recipe, output, options).GetAwaiter().GetResult();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.Error.WriteLine($"{Name}: {seconds:F3} s on {report.Backend}, read {report.BytesRead / 1e9:F2} GB");
        foreach (string warning in report.Warnings)
            Console.Error.WriteLine($"{Name}: {warning}");
        return seconds;
    }

    /// <summary>
    /// Bytes a second from page-locked memory; notes what locking it takes, and uploads from other memory.
    /// </summary>
    private static double MeasureUpload(IlgpuBackend backend)
    {
        long locking = Stopwatch.GetTimestamp();
        using PageLockedArray1D<byte> from = backend.Accelerator.AllocatePageLocked1D<byte>(UploadBytes);
        NoteRate("locking 256 MiB", locking);
        using BackendMemory to = backend.Allocate((nint)UploadBytes);
        new Random(1).NextBytes(from.Span);
        using var team = new StreamTeam(backend, 1);
        using var other = new DenseMatrix<float>(1 << 10, (int)(UploadBytes >> 12));
        for (int round = 0; round < 3; round++)
        {
            long staging = Stopwatch.GetTimestamp();
            BackendMatrix.Of(team, other.View).Dispose();
            NoteRate("256 MiB by way of a stream's page-locked memory", staging);
        }

        var view = backend.Memories.Find(to.Address)!.From(to.Address).SubView(0, UploadBytes);
        using var queue = backend.Accelerator.CreateStream();
        double best = 0;
        for (int round = 0; round < 5; round++)
        {
            long start = Stopwatch.GetTimestamp();
            view.CopyFromCPUUnsafeAsync(queue, ref from.Span[0], UploadBytes);
            queue.Synchronize();
            best = Math.Max(best, UploadBytes / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    private static void NoteRate(string what, long start)
    {
        double rate = UploadBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.Error.WriteLine($"{Name}: {what}: {rate / 1e9:F1} GB/s");
    }

    private static void Compare(string expected, string actual)
    {
        foreach (string file in Directory.GetFiles(expected, "*.safetensors"))
        {
            byte[] theirs = File.ReadAllBytes(file);
            byte[] ours = File.ReadAllBytes(Path.Combine(actual, Path.GetFileName(file)));
            if (!theirs.AsSpan().SequenceEqual(ours))
                throw new WrongResultException($"{Name}: {Path.GetFileName(file)} has other bytes than the CPU's");
        }
    }
}
