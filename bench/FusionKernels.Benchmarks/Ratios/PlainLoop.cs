using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// The ceiling of an out-of-core merge: reads every byte of the models and writes as many bytes as one of them has, and
/// computes nothing. Two threads, positional reads and writes, one buffer each.
/// </summary>
internal static class PlainLoop
{
    /// <summary>
    /// Bytes per read and write. The buffer stays in the second-level cache between the two; on Zen 5 all sizes from
    /// 128 KiB to 1 MiB are within a few percent of this one.
    /// </summary>
    public const int ChunkBytes = 512 << 10;

    private const int Threads = 2;

    /// <summary>
    /// Reads the shards of all <paramref name="models"/>, which have the same sizes, and writes a new set of them into
    /// the folder <paramref name="output"/>.
    /// </summary>
    public static void Run(IReadOnlyList<string> models, string output)
    {
        Directory.CreateDirectory(output);
        string[] names = [.. Directory.EnumerateFiles(models[0], "*.safetensors").Select(f => Path.GetFileName(f))];
        SafeFileHandle[][] sources = [.. names.Select(
            n => models.Select(m => File.OpenHandle(Path.Combine(m, n))).ToArray())];
        SafeFileHandle[] targets = [.. names.Select(n => File.OpenHandle(
            Path.Combine(output, n), FileMode.CreateNew, FileAccess.Write))];
        long[] lengths = [.. sources.Select(s => RandomAccess.GetLength(s[0]))];
        long items = names.Length * ((lengths.Max() + ChunkBytes - 1) / ChunkBytes), next = -1;

        // Item i is chunk i / shards of shard i mod shards: two threads that take neighbouring items write to different
        // files, whose locks do not meet (measured: a quarter less time than file after file).
        void Work()
        {
            var buffer = GC.AllocateUninitializedArray<byte>(ChunkBytes);
            for (long item; (item = Interlocked.Increment(ref next)) < items;)
            {
                int shard = (int)(item % names.Length);
                long offset = item / names.Length * ChunkBytes;
                int count = (int)Math.Clamp(lengths[shard] - offset, 0, ChunkBytes);
                foreach (var source in sources[shard])
                {
                    if (RandomAccess.Read(source, buffer.AsSpan(0, count), offset) != count)
                        throw new EndOfStreamException(names[shard]);
                }

                RandomAccess.Write(targets[shard], buffer.AsSpan(0, count), offset);
            }
        }

        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(Work) { Name = "plain loop" })];
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        foreach (var handle in sources.SelectMany(s => s).Concat(targets))
            handle.Dispose();
    }
}
