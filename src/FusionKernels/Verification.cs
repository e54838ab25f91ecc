using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>What a verification found.</summary>
/// <param name="Tensors">Tensors whose bytes were read.</param>
/// <param name="Shards">Shards read.</param>
/// <param name="Bytes">Bytes of tensor data read.</param>
/// <param name="Hashed">Whether recorded checksums were there to compare with.</param>
/// <param name="NonFinite">Tensors that hold NaN or infinities, with their count of such elements.</param>
/// <param name="Problems">One line per problem: file, tensor, rule. Empty when all is well.</param>
public sealed record VerificationReport(
    int Tensors,
    int Shards,
    long Bytes,
    bool Hashed,
    IReadOnlyList<(string Tensor, long Count)> NonFinite,
    IReadOnlyList<string> Problems);

/// <summary>Checks a written checkpoint.</summary>
public static class Verification
{
    // A multiple of every element size.
    private const int Window = 1 << 18;

    /// <summary>
    /// Reads a checkpoint again: every header and the index by the rules of the format, and every byte against the checksums that
    /// the merge recorded in <c>fusionkernels.json</c>, where there is one. Of a single file, what was recorded of it.
    /// </summary>
    /// <param name="path">Checkpoint folder, index, or a single safetensors file.</param>
    /// <param name="cancellation">Stops between pieces of a tensor.</param>
    /// <exception cref="SourceUnavailableException">There is no checkpoint to read.</exception>
    public static Task<VerificationReport> RunAsync(string path, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Task.Run(() => Run(path, cancellation), cancellation);
    }

    private static VerificationReport Run(string path, CancellationToken cancellation)
    {
        var problems = new List<string>();
        string folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        var record = ReadRecord(folder, problems);
        if (path.EndsWith(".safetensors", StringComparison.Ordinal) && File.Exists(path))
            record = record?.Of(Path.GetFileName(path));
        if (record is not null)
            CheckFiles(folder, record, problems);
        Checkpoint checkpoint;
        try
        {
            checkpoint = Checkpoint.Open(path);
        }
        catch (SafetensorsException e)
        {
            return new VerificationReport(0, 0, 0, record is not null, [], [.. problems, e.Message]);
        }

        using (checkpoint)
        {
            problems.AddRange(checkpoint.Warnings);
            if (record is not null)
                CheckShards(checkpoint, record, problems);
            var recorded = record?.Shards.SelectMany(s => s.Tensors).ToDictionary(t => t.Key, t => t.Value);
            var nonFinite = new (string Tensor, long Count)[checkpoint.Tensors.Count];
            var damaged = new string?[checkpoint.Tensors.Count];
            using var team = new WorkerTeam(new CpuBackend(), Environment.ProcessorCount, cancellation);
            team.Run(checkpoint.Tensors.Count, (worker, i) =>
            {
                var tensor = checkpoint.Tensors[i];
                uint crc = Check(worker, tensor, cancellation, out long count);
                nonFinite[i] = (tensor.Name, count);
                if (recorded is null)
                    return;
                if (!recorded.TryGetValue(tensor.Name, out uint expected))
                    damaged[i] = $"{tensor.Shard.Path}: {tensor.Name}: the merge did not write this tensor";
                else if (crc != expected)
                    damaged[i] = $"{tensor.Shard.Path}: {tensor.Name}: the bytes are not those that were written (CRC-32C {crc:x8}, recorded {expected:x8})";
            });
            problems.AddRange(damaged.OfType<string>());
            if (recorded is not null)
                problems.AddRange(recorded.Keys.Where(name => !checkpoint.TryGet(name, out _)).Select(name => $"{path}: {name}: the tensor is missing"));
            return new VerificationReport(
                checkpoint.Tensors.Count,
                checkpoint.Shards.Count,
                checkpoint.Tensors.Sum(t => t.ByteLength),
                record is not null,
                nonFinite.Where(n => n.Count > 0).ToArray(),
                problems);
        }
    }

    // The checksum of a tensor, and how many of its elements are not finite.
    private static unsafe uint Check(Worker worker, CheckpointTensor tensor, CancellationToken cancellation, out long nonFinite)
    {
        uint crc = 0;
        nonFinite = 0;
        for (long offset = 0; offset < tensor.ByteLength; offset += Window)
        {
            cancellation.ThrowIfCancellationRequested();
            int length = (int)Math.Min(Window, tensor.ByteLength - offset);

            // SAFETY: Fetch returns `length` readable bytes, in its map or in the worker's scratch of that size.
            var bytes = new ReadOnlySpan<byte>(tensor.Fetch(offset, length, worker.Scratch(Window)), length);
            crc = Crc32C.Join(crc, Crc32C.Of(bytes), length);
            if (Elements.Of(tensor.Dtype) is { } type)
                nonFinite += NonFinite.Count(type, bytes);
        }

        return crc;
    }

    private static OutputRecord? ReadRecord(string folder, List<string> problems)
    {
        string file = Path.Combine(folder, OutputFolder.RecordFile);
        if (!File.Exists(file))
            return null;
        var record = OutputRecord.Parse(File.ReadAllBytes(file));
        if (record is null)
            problems.Add($"{file}: the record of the merge is not as it was written");
        return record;
    }

    private static void CheckFiles(string folder, OutputRecord record, List<string> problems)
    {
        foreach (var (name, expected) in record.Files)
        {
            string file = Path.Combine(folder, name);
            if (!File.Exists(file))
                problems.Add($"{file}: is missing");
            else if (File.ReadAllBytes(file) is var bytes && (bytes.Length != expected.Bytes || Crc32C.Of(bytes) != expected.Crc32C))
                problems.Add($"{file}: the bytes are not those that were written");
        }
    }

    private static void CheckShards(Checkpoint checkpoint, OutputRecord record, List<string> problems)
    {
        var shards = checkpoint.Shards.ToDictionary(s => Path.GetFileName(s.Path));
        foreach (var expected in record.Shards)
        {
            if (!shards.TryGetValue(expected.File, out var shard))
                problems.Add($"{expected.File}: the shard is missing");
            else if (shard.Source.Length != expected.Bytes)
                problems.Add($"{shard.Path}: has {shard.Source.Length} bytes, {expected.Bytes} were written");
            else if (SourceRecord.Of(shard).HeaderCrc32C != expected.HeaderCrc32C)
                problems.Add($"{shard.Path}: the header is not the one that was written");
        }
    }
}
