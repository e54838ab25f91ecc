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
    /// Reads the shards of all <paramref name="models"/>, which have the same sizes, and writes one file of a model's size into
    /// the folder <paramref name="output"/>, as a merge of this size does.
    /// </summary>
    public static void Run(IReadOnlyList<string> models, string output)
    {
        Directory.CreateDirectory(output);
        string[] names = [.. Directory.EnumerateFiles(models[0], "*.safetensors").Select(f => Path.GetFileName(f)).Order()];
        SafeFileHandle[][] sources = [.. names.Select(
            n => models.Select(m => File.OpenHandle(Path.Combine(m, n))).ToArray())];
        using SafeFileHandle target = File.OpenHandle(
            Path.Combine(output, "model.safetensors"), FileMode.CreateNew, FileAccess.Write);
        var chunks = new List<(int Shard, long Offset, int Count, long Target)>();
        long end = 0;
        for (int shard = 0; shard < names.Length; shard++)
        {
            long length = RandomAccess.GetLength(sources[shard][0]);
            for (long offset = 0; offset < length; offset += ChunkBytes)
                chunks.Add((shard, offset, (int)Math.Min(ChunkBytes, length - offset), end + offset));
            end += length;
        }

        // Two threads that write one file wait for its lock: the writes are the slower part of this loop (three files
        // written by turns, whose locks do not meet, take a quarter less), and of every merge into one shard.
        int next = -1;
        void Work()
        {
            var buffer = GC.AllocateUninitializedArray<byte>(ChunkBytes);
            for (int item; (item = Interlocked.Increment(ref next)) < chunks.Count;)
            {
                var (shard, offset, count, place) = chunks[item];
                foreach (var source in sources[shard])
                {
                    if (RandomAccess.Read(source, buffer.AsSpan(0, count), offset) != count)
                        throw new EndOfStreamException(names[shard]);
                }

                RandomAccess.Write(target, buffer.AsSpan(0, count), place);
            }
        }

        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(Work) { Name = "plain loop" })];
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        foreach (var handle in sources.SelectMany(s => s))
            handle.Dispose();
    }
}
