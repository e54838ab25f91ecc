using System.Text.Json;

namespace FusionKernels.Safetensors;

/// <summary>
/// Reads the JSON of a header token by token, without a document in between: a header may describe millions of empty
/// tensors. What it accepts is what the reference's deserializer accepts, except that duplicate keys are refused.
/// </summary>
internal ref struct HeaderReader
{
    private readonly string path;
    private readonly List<TensorInfo> tensors;
    private readonly Dictionary<string, TensorInfo> byName;
    private readonly List<long> dimensions = [];
    private Utf8JsonReader json;
    private Dictionary<string, string>? metadata;
    private long[] lastShape = [];

    private HeaderReader(ReadOnlySpan<byte> header, string path)
    {
        const int UsualEntryLength = 80;
        json = new Utf8JsonReader(header);
        tensors = new List<TensorInfo>(header.Length / UsualEntryLength);
        byName = new Dictionary<string, TensorInfo>(header.Length / UsualEntryLength);
        this.path = path;
    }

    /// <summary>Parses a header that is valid UTF-8 and checks rules 5 to 9.</summary>
    public static SafetensorsHeader Read(ReadOnlySpan<byte> header, string path)
    {
        var reader = new HeaderReader(header, path);
        try
        {
            reader.ReadObject();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException is how a string with a lone surrogate escape is reported when it is decoded.
            throw new SafetensorsException(
                FormatError.InvalidHeaderDeserialization, path, null, "header is not valid JSON: " + e.Message, e);
        }

        TensorInfo[] sorted = reader.SortAndCheck();
        return new SafetensorsHeader(header.Length, sorted, reader.byName, reader.metadata ?? []);
    }

    private void ReadObject()
    {
        json.Read();
        Expect(JsonTokenType.StartObject, null, "header is not a JSON object");
        bool metadataSeen = false;
        while (ReadKey())
        {
            string key = json.GetString()!;
            json.Read();
            if (key == HeaderWriter.MetadataKey)
            {
                if (metadataSeen) throw Duplicate(key, null);
                metadataSeen = true;
                ReadMetadata();
            }
            else
            {
                TensorInfo tensor = ReadTensor(key);
                if (!byName.TryAdd(key, tensor)) throw Duplicate(key, key);
                tensors.Add(tensor);
            }
        }

        json.Read(); // anything but white space after the object is a JsonException
    }

    private void ReadMetadata()
    {
        if (json.TokenType == JsonTokenType.Null) return;
        Expect(JsonTokenType.StartObject, null, "__metadata__ is not an object");
        metadata = [];
        while (ReadKey())
        {
            string key = json.GetString()!;
            json.Read();
            Expect(JsonTokenType.String, null, "a value in __metadata__ is not a string");
            if (!metadata.TryAdd(key, json.GetString()!)) throw Duplicate(key, null);
        }
    }

    private TensorInfo ReadTensor(string name)
    {
        Expect(JsonTokenType.StartObject, name, "is not described by an object");
        Dtype? dtype = null;
        long[]? shape = null;
        (long Begin, long End)? offsets = null;
        while (ReadKey())
        {
            if (json.ValueTextEquals("dtype"u8))
            {
                if (dtype is not null) throw Duplicate("dtype", name);
                dtype = ReadDtype(name);
            }
            else if (json.ValueTextEquals("shape"u8))
            {
                if (shape is not null) throw Duplicate("shape", name);
                shape = ReadShape(name);
            }
            else if (json.ValueTextEquals("data_offsets"u8))
            {
                if (offsets is not null) throw Duplicate("data_offsets", name);
                ReadNumbers(name, "data_offsets");
                if (dimensions.Count != 2) throw Malformed(name, "data_offsets is not a pair");
                offsets = (dimensions[0], dimensions[1]);
            }
            else
            {
                json.Skip();
            }
        }

        return new TensorInfo(
            name,
            dtype ?? throw Malformed(name, "has no dtype"),
            shape ?? throw Malformed(name, "has no shape"),
            offsets?.Begin ?? throw Malformed(name, "has no data_offsets"),
            offsets.Value.End);
    }

    private Dtype ReadDtype(string name)
    {
        json.Read();
        Expect(JsonTokenType.String, name, "dtype is not a string");
        bool known = json.ValueIsEscaped
            ? DtypeExtensions.TryParse(json.GetString()!, out Dtype dtype)
            : DtypeExtensions.TryParse(json.ValueSpan, out dtype);
        return known ? dtype : throw Malformed(name, $"has the unknown dtype '{json.GetString()}'");
    }

    // Runs of tensors of one shape share one array, which halves what a million of them cost.
    private long[] ReadShape(string name)
    {
        ReadNumbers(name, "shape");
        if (!lastShape.AsSpan().SequenceEqual(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(dimensions)))
        {
            lastShape = [.. dimensions];
        }

        return lastShape;
    }

    // Numbers are unsigned 64-bit on the wire. They are kept as the long of the same bits until SortAndCheck, so that
    // a number beyond 2^63 breaks the same rule as it does in the reference.
    private void ReadNumbers(string name, string field)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartArray) throw Malformed(name, $"{field} is not an array");
        dimensions.Clear();
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType != JsonTokenType.Number || !json.TryGetUInt64(out ulong number))
            {
                throw Malformed(name, $"{field} holds something other than an unsigned integer");
            }

            dimensions.Add((long)number);
        }
    }

    /// <summary>
    /// Rules 6 to 9. The order is (begin, end), not (begin, name): an empty tensor comes before a full one that begins
    /// at the same place, whatever their names. Equal pairs stay in header order.
    /// </summary>
    private readonly TensorInfo[] SortAndCheck()
    {
        TensorInfo[] sorted = [.. tensors];
        if (!IsSorted(sorted)) sorted = [.. sorted.OrderBy(t => (ulong)t.Begin).ThenBy(t => (ulong)t.End)];

        long end = 0;
        foreach (TensorInfo tensor in sorted)
        {
            if (tensor.Begin != end || (ulong)tensor.End < (ulong)tensor.Begin)
            {
                throw new SafetensorsException(
                    FormatError.InvalidOffset,
                    path,
                    tensor.Name,
                    $"data_offsets [{(ulong)tensor.Begin}, {(ulong)tensor.End}] do not begin at {(ulong)end}, "
                    + "where the tensor before ends, or run backwards");
            }

            end = tensor.End;
            if (TensorSize.Measure(tensor.Dtype, tensor.Shape, out ulong bytes) is { } error)
            {
                throw new SafetensorsException(
                    error,
                    path,
                    tensor.Name,
                    error == FormatError.MisalignedSlice
                        ? $"its {tensor.Dtype.WireName()} elements do not end on a byte"
                        : "its size exceeds 64 bits");
            }

            if ((ulong)tensor.ByteLength != bytes)
            {
                throw new SafetensorsException(
                    FormatError.TensorInvalidInfo,
                    path,
                    tensor.Name,
                    $"data_offsets span {(ulong)tensor.ByteLength} bytes, shape and dtype need {bytes}");
            }
        }

        if (end < 0)
        {
            throw new SafetensorsException(
                FormatError.MetadataIncompleteBuffer, path, sorted[^1].Name, "ends beyond any file");
        }

        return sorted;
    }

    private static bool IsSorted(TensorInfo[] tensors)
    {
        for (int i = 1; i < tensors.Length; i++)
        {
            (ulong, ulong) before = ((ulong)tensors[i - 1].Begin, (ulong)tensors[i - 1].End);
            if (before.CompareTo(((ulong)tensors[i].Begin, (ulong)tensors[i].End)) > 0) return false;
        }

        return true;
    }

    // An escaped key is decoded whatever becomes of it: to compare it would not always notice a lone surrogate.
    private bool ReadKey()
    {
        if (!json.Read() || json.TokenType != JsonTokenType.PropertyName) return false;
        if (json.ValueIsEscaped) _ = json.GetString();
        return true;
    }

    private readonly void Expect(JsonTokenType type, string? tensor, string message)
    {
        if (json.TokenType != type) throw Malformed(tensor, message);
    }

    private readonly SafetensorsException Malformed(string? tensor, string message) =>
        new(FormatError.InvalidHeaderDeserialization, path, tensor, message);

    private readonly SafetensorsException Duplicate(string key, string? tensor) =>
        new(FormatError.DuplicateKey, path, tensor, $"key '{key}' occurs twice");
}
