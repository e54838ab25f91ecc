using System.Text.Json;
using System.Text.Unicode;

namespace FusionKernels.Safetensors;

/// <summary>The content of a <c>*.safetensors.index.json</c> or <c>*.bin.index.json</c>.</summary>
internal sealed class ShardIndex
{
    private readonly Dictionary<string, string> weightMap = [];
    private readonly string ending;

    private ShardIndex(string path) =>
        ending = path.EndsWith(".bin.index.json", StringComparison.Ordinal) ? ".bin" : ".safetensors";

    /// <summary>Tensor name to shard file name; the file names are safe.</summary>
    public IReadOnlyDictionary<string, string> WeightMap => weightMap;

    /// <summary>Bytes of all tensors as the index says; null if it does not say, or not by an integer.</summary>
    public ulong? TotalSize { get; private set; }

    /// <summary>Parses the bytes of an index file.</summary>
    public static ShardIndex Parse(ReadOnlySpan<byte> text, string path)
    {
        if (!Utf8.IsValid(text)) throw Malformed(path, "index is not UTF-8");
        try
        {
            return Read(text, path);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new SafetensorsException(
                FormatError.InvalidIndex, path, null, "index is not valid JSON: " + e.Message, e);
        }
    }

    private static ShardIndex Read(ReadOnlySpan<byte> text, string path)
    {
        var index = new ShardIndex(path);
        var json = new Utf8JsonReader(text);
        bool mapSeen = false, metadataSeen = false;
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject) throw Malformed(path, "index is not a JSON object");
        while (ReadKey(ref json))
        {
            if (json.ValueTextEquals("weight_map"u8))
            {
                if (mapSeen) throw Duplicate(path, "weight_map");
                mapSeen = true;
                index.ReadWeightMap(ref json, path);
            }
            else if (json.ValueTextEquals("metadata"u8))
            {
                if (metadataSeen) throw Duplicate(path, "metadata");
                metadataSeen = true;
                index.ReadMetadata(ref json, path);
            }
            else
            {
                json.Skip();
            }
        }

        json.Read(); // anything but white space after the object is a JsonException
        return index.weightMap.Count > 0 ? index : throw Malformed(path, "index has no weight_map, or an empty one");
    }

    private void ReadWeightMap(ref Utf8JsonReader json, string path)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject) throw Malformed(path, "weight_map is not an object");
        while (ReadKey(ref json))
        {
            string tensor = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                throw new SafetensorsException(
                    FormatError.InvalidIndex, path, tensor, "its entry in weight_map is not a string");
            }

            string shard = json.GetString()!;
            if (!IsPlainFileName(shard))
            {
                throw new SafetensorsException(
                    FormatError.UnsafeShardName,
                    path,
                    tensor,
                    $"its shard '{shard}' is not a plain file name ending in {ending}");
            }

            if (!weightMap.TryAdd(tensor, shard)) throw Duplicate(path, tensor);
        }
    }

    private void ReadMetadata(ref Utf8JsonReader json, string path)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject) throw Malformed(path, "metadata is not an object");
        while (ReadKey(ref json))
        {
            bool isTotalSize = json.ValueTextEquals("total_size"u8);
            json.Read();
            if (isTotalSize)
            {
                TotalSize = json.TokenType == JsonTokenType.Number && json.TryGetUInt64(out ulong size) ? size : null;
            }

            json.Skip();
        }
    }

    // Whoever writes an index writes base names, so nothing else needs to be followed: no separator of any system, no
    // drive or URL, no control character, no folder.
    private bool IsPlainFileName(string name) =>
        name.Length > ending.Length
        && name.EndsWith(ending, StringComparison.Ordinal)
        && !name.AsSpan().ContainsAny("/\\:")
        && !name.Any(char.IsControl);

    // An escaped key is decoded whatever becomes of it: to compare it would not always notice a lone surrogate.
    private static bool ReadKey(ref Utf8JsonReader json)
    {
        if (!json.Read() || json.TokenType != JsonTokenType.PropertyName) return false;
        if (json.ValueIsEscaped) _ = json.GetString();
        return true;
    }

    private static SafetensorsException Malformed(string path, string message) =>
        new(FormatError.InvalidIndex, path, null, message);

    private static SafetensorsException Duplicate(string path, string key) =>
        new(FormatError.DuplicateKey, path, null, $"key '{key}' occurs twice");
}
