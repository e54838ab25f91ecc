using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FusionKernels.Execution;

/// <summary>What a finished merge leaves in <c>fusionkernels.json</c>: where the output came from, and checksums to verify it by.</summary>
internal sealed record OutputRecord
{
    /// <summary>Version of the library that wrote it.</summary>
    public required string Version { get; init; }

    /// <summary>What was merged.</summary>
    public required PlanRecord Plan { get; init; }

    /// <summary>The shards.</summary>
    public required IReadOnlyList<ShardRecord> Shards { get; init; }

    /// <summary>The other files by name.</summary>
    public required IReadOnlyDictionary<string, FileRecord> Files { get; init; }

    /// <summary>What is recorded of one shard; <c>null</c> where the merge wrote none of this name.</summary>
    public OutputRecord? Of(string shard) => Shards.FirstOrDefault(s => s.File == shard) is { } found
        ? this with { Shards = [found], Files = new Dictionary<string, FileRecord>() } : null;

    /// <summary>The record as JSON whose last property is the checksum of all that stands before it.</summary>
    public byte[] ToBytes()
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(this, RecordJson.Default.OutputRecord);
        return [.. json[..^1], .. Seal(json.AsSpan(0, json.Length - 1))];
    }

    /// <summary>Reads what <see cref="ToBytes"/> wrote; <c>null</c> when a single bit of it is not as it was.</summary>
    public static OutputRecord? Parse(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.LastIndexOf(SealKey);
        if (end < 0 || !bytes[end..].SequenceEqual(Seal(bytes[..end])))
            return null;
        try
        {
            return JsonSerializer.Deserialize(bytes, RecordJson.Default.OutputRecord);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static ReadOnlySpan<byte> SealKey => ",\"crc32c\":"u8;

    private static byte[] Seal(ReadOnlySpan<byte> body) =>
        [.. SealKey, .. Encoding.ASCII.GetBytes(Crc32C.Of(body).ToString(CultureInfo.InvariantCulture)), (byte)'}'];
}

/// <summary>A finished shard: one line of the journal.</summary>
/// <param name="File">Its name.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="HeaderCrc32C">CRC-32C of the length field and the header with its padding.</param>
/// <param name="Tensors">CRC-32C of each tensor's bytes.</param>
/// <param name="NonFinite">Tensors that hold NaN or infinities, with their count of such elements.</param>
internal sealed record ShardRecord(
    string File,
    long Bytes,
    uint HeaderCrc32C,
    IReadOnlyDictionary<string, uint> Tensors,
    IReadOnlyDictionary<string, long> NonFinite);

/// <summary>A small file of the output.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Crc32C">Checksum of its bytes.</param>
internal sealed record FileRecord(long Bytes, uint Crc32C);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(PlanRecord))]
[JsonSerializable(typeof(OutputRecord))]
[JsonSerializable(typeof(ShardRecord))]
internal sealed partial class RecordJson : JsonSerializerContext;
