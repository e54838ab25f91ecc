using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// Everything that decides the output's bytes, as it is kept beside an unfinished output: a later run resumes only what has the
/// same record.
/// </summary>
internal sealed record PlanRecord
{
    /// <summary>Raised whenever the same recipe gives other bytes.</summary>
    public const int CurrentNumerics = 2;

    /// <summary>The numerics version that computes the output.</summary>
    public required int Numerics { get; init; }

    /// <summary>The recipe, in canonical form.</summary>
    public required string Recipe { get; init; }

    /// <summary>Seed of the random masks.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Whether the recipe was read leniently.</summary>
    public required bool Lenient { get; init; }

    /// <summary>
    /// Checksums of the models' vocabularies where embeddings are matched by token, else <c>null</c>.
    /// </summary>
    public IReadOnlyList<uint>? Tokenizers { get; init; }

    /// <summary>The input shards, and the small files that say how they are meant.</summary>
    public required IReadOnlyList<SourceRecord> Sources { get; init; }

    /// <summary>The output shards: name, size, and the checksum of the header, which fixes every tensor's place.</summary>
    public required IReadOnlyList<LayoutRecord> Layout { get; init; }

    /// <summary>Makes the record of a plan.</summary>
    public static PlanRecord Of(MergePlan plan, MergeOptions options) => new()
    {
        Numerics = CurrentNumerics,
        Recipe = (plan.Recipe with { Text = null }).ToYaml(),
        Seed = options.Seed,
        Lenient = options.Lenient,
        Tokenizers = plan.Tokenizer?.Crc32C,
        Sources =
        [
            .. plan.InputShards.Select(SourceRecord.Of),
            .. plan.InputSettings.Select(s => SourceRecord.Of(s.Path, s.Text)),
        ],
        Layout = plan.Layout.Shards.Select(s => new LayoutRecord(s.FileName, s.FileLength, Crc32C.Of(s.Header.Span))).ToArray(),
    };

    /// <summary>The first place where two records differ, as one phrase; <c>null</c> when they are the same.</summary>
    public static string? Difference(PlanRecord before, PlanRecord now) => Difference(
        JsonSerializer.SerializeToNode(before, RecordJson.Default.PlanRecord),
        JsonSerializer.SerializeToNode(now, RecordJson.Default.PlanRecord),
        "");

    private static string? Difference(JsonNode? before, JsonNode? now, string path)
    {
        switch (before, now)
        {
            case (JsonObject a, JsonObject b):
                return a.Select(p => Difference(p.Value, b[p.Key], path.Length == 0 ? p.Key : $"{path}.{p.Key}")).FirstOrDefault(d => d is not null);
            case (JsonArray a, JsonArray b):
                if (a.Count != b.Count)
                    return $"{path} had {a.Count} entries, now {b.Count}";
                return a.Select((item, i) => Difference(item, b[i], $"{path}[{Index(item, b[i], i)}]"))
                    .FirstOrDefault(d => d is not null);
            default:
                string was = before?.ToJsonString() ?? "nothing", isNow = now?.ToJsonString() ?? "nothing";
                return was == isNow ? null : path == "recipe" ? "the recipe's text" : $"{path} was {was}, is {isNow}";
        }

        // A file is named by its path, where that is the same.
        static string Index(JsonNode? before, JsonNode? now, int i) =>
            before is JsonObject a && now is JsonObject b && a["path"] is { } file && JsonNode.DeepEquals(file, b["path"])
                ? $"'{file}'" : $"{i}";
    }
}

/// <summary>An input file as it was when the merge began.</summary>
internal sealed record SourceRecord(string Path, long Bytes, long ModifiedNanoseconds, ulong Inode, uint HeaderCrc32C)
{
    /// <summary>Makes the record of a small file, which counts by its content alone.</summary>
    public static SourceRecord Of(string path, byte[] text) => new(path, text.Length, 0, 0, Crc32C.Of(text));

    /// <summary>Makes the record of an opened shard.</summary>
    public static SourceRecord Of(ShardFile shard)
    {
        var stamp = shard.Source.Stamp;
        var (begin, end) = shard.HeaderRange;
        uint header = Crc32C.OfRange(Read, begin, end - begin);
        return new SourceRecord(shard.Path, stamp.Size, stamp.ModifiedNs, stamp.Inode, header);

        int Read(long offset, Span<byte> destination)
        {
            shard.Source.Read(offset, destination);
            return destination.Length;
        }
    }
}

/// <summary>An output shard's size and layout.</summary>
internal sealed record LayoutRecord(string File, long Bytes, uint HeaderCrc32C);
