using System.Numerics;
using System.Text;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>
/// The rules of the format in their order, written down once more: over whole values, in numbers of any size, without
/// a line of the reader's code. Tests compare the two.
/// </summary>
internal static class FormatOracle
{
    private static readonly Dictionary<string, int> Bits = new()
    {
        ["BOOL"] = 8, ["F4"] = 4, ["F6_E2M3"] = 6, ["F6_E3M2"] = 6, ["U8"] = 8, ["I8"] = 8, ["F8_E5M2"] = 8,
        ["F8_E4M3"] = 8, ["F8_E8M0"] = 8, ["F8_E4M3FNUZ"] = 8, ["F8_E5M2FNUZ"] = 8, ["I16"] = 16, ["U16"] = 16,
        ["F16"] = 16, ["BF16"] = 16, ["I32"] = 32, ["U32"] = 32, ["F32"] = 32, ["C64"] = 64, ["F64"] = 64, ["I64"] = 64,
        ["U64"] = 64,
    };

    private static readonly BigInteger Words = BigInteger.One << 64;

    public static IEnumerable<string> Dtypes => Bits.Keys;

    public static int BitsOf(string dtype) => Bits[dtype];

    /// <summary>The verdict about a safetensors file.</summary>
    public static Verdict OfFile(byte[] file)
    {
        if (file.Length < 8) return Early(file, FormatError.HeaderTooSmall);
        var length = new BigInteger(file.AsSpan(0, 8), isUnsigned: true);
        if (length > 100_000_000) return Early(file, FormatError.HeaderTooLarge);
        if (8 + length > file.Length) return Early(file, FormatError.InvalidHeaderLength);
        if (Decode(file.AsSpan(8, (int)length)) is not { } text) return new([FormatError.InvalidHeader]);

        PlainValue root = PlainJson.Parse(text, out bool wellFormed);
        var faults = new Faults { Malformed = !wellFormed || root.Kind != '{' };
        var tensors = new List<Tensor>();
        string metadata = "";
        foreach ((string key, PlainValue value) in DistinctKeys(root, faults))
        {
            if (key == "__metadata__") metadata = Metadata(value, faults);
            else if (ReadTensor(key, value, faults) is { } tensor) tensors.Add(tensor);
        }

        if (faults.Malformed || faults.Duplicate) return new(faults.Errors(FormatError.InvalidHeaderDeserialization));

        tensors = [.. tensors.OrderBy(t => t.Begin).ThenBy(t => t.End)];
        BigInteger end = 0;
        foreach (Tensor tensor in tensors)
        {
            if (tensor.Begin != end || tensor.End < tensor.Begin) return new([FormatError.InvalidOffset]);
            end = tensor.End;
            if (Size(tensor, out BigInteger bytes) is { } error) return new([error]);
            if (tensor.End - tensor.Begin != bytes) return new([FormatError.TensorInvalidInfo]);
        }

        if (8 + length + end != file.Length) return new([FormatError.MetadataIncompleteBuffer]);
        return new([], metadata + string.Concat(tensors.Select(t => t.ToString())));
    }

    /// <summary>The verdict about the text of a <c>*.safetensors.index.json</c>.</summary>
    public static Verdict OfIndex(byte[] bytes)
    {
        if (Decode(bytes) is not { } text) return new([FormatError.InvalidIndex]);
        PlainValue root = PlainJson.Parse(text, out bool wellFormed);
        var faults = new Faults { Malformed = !wellFormed || root.Kind != '{' };
        var keys = root.Entries.Select(entry => entry.Key).ToArray();
        faults.Malformed |= keys.Contains(null);
        faults.Duplicate |= keys.Count(key => key == "weight_map") > 1 || keys.Count(key => key == "metadata") > 1;
        var places = new List<string>();
        BigInteger? total = null;
        bool unsafeName = false;
        foreach ((string? key, PlainValue value) in root.Entries)
        {
            if (key is not ("weight_map" or "metadata")) continue;
            faults.Malformed |= value.Kind != '{';
            if (key == "weight_map")
            {
                foreach ((string tensor, PlainValue shard) in DistinctKeys(value, faults))
                {
                    faults.Malformed |= shard is not { Kind: '"', Text: not null };
                    unsafeName |= shard is { Kind: '"', Text: { } name } && !IsPlainName(name);
                    places.Add($"{tensor}={shard.Text};");
                }
            }
            else
            {
                faults.Malformed |= value.Entries.Any(entry => entry.Key is null);
                foreach ((string? field, PlainValue size) in value.Entries)
                {
                    if (field == "total_size") total = Unsigned(size);
                }
            }
        }

        faults.Malformed |= places.Count == 0;
        FormatError[] errors = faults.Errors(FormatError.InvalidIndex);
        if (unsafeName) errors = [.. errors, FormatError.UnsafeShardName];
        return new(errors, $"{total}|{string.Concat(places.Order(StringComparer.Ordinal))}");
    }

    /// <summary>How a tensor is written in the content of a verdict.</summary>
    public static string Describe(string name, string dtype, IEnumerable<string> shape, string begin, string end) =>
        $"{name}:{dtype}[{string.Join(',', shape)}]@{begin}-{end};";

    // A file too short for its header may be of another kind altogether, and is then called by that.
    private static Verdict Early(byte[] file, FormatError error)
    {
        string beginning = Encoding.Latin1.GetString(file.AsSpan(0, Math.Min(file.Length, 64)));
        string[] others =
        [
            "version https://git-lfs", "PK\u0003\u0004", "\u0080\u0002", "\u0080\u0003", "\u0080\u0004", "\u0080\u0005",
            "GGUF",
        ];
        bool foreign = beginning.Length == 0 || others.Any(o => beginning.StartsWith(o, StringComparison.Ordinal))
            || beginning.TrimStart(' ', '\t', '\r', '\n') is ['<' or '{', ..];
        return new([foreign ? FormatError.NotSafetensors : error]);
    }

    private static string? Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    private static string Metadata(PlainValue value, Faults faults)
    {
        if (value.Kind == 'n') return "";
        faults.Malformed |= value.Kind != '{';
        var content = new StringBuilder();
        foreach ((string key, PlainValue text) in DistinctKeys(value, faults))
        {
            faults.Malformed |= text is not { Kind: '"', Text: not null };
            content.Append($"{key}={text.Text};");
        }

        return content.ToString();
    }

    private static Tensor? ReadTensor(string name, PlainValue value, Faults faults)
    {
        faults.Malformed |= value.Kind != '{' || value.Entries.Any(entry => entry.Key is null);
        PlainValue? dtype = Field("dtype"), shape = Field("shape"), offsets = Field("data_offsets");
        BigInteger?[] dims = [.. (shape?.Items ?? []).Select(Unsigned)];
        BigInteger?[] range = [.. (offsets?.Items ?? []).Select(Unsigned)];
        bool good = dtype is { Kind: '"', Text: { } type } && Bits.ContainsKey(type) && shape is { Kind: '[' }
            && offsets is { Kind: '[' } && range.Length == 2 && !dims.Contains(null) && !range.Contains(null);
        faults.Malformed |= !good;
        return good
            ? new(name, dtype!.Text!, [.. dims.Select(d => d!.Value)], range[0]!.Value, range[1]!.Value)
            : null;

        PlainValue? Field(string key)
        {
            PlainValue[] found = [.. value.Entries.Where(entry => entry.Key == key).Select(entry => entry.Value)];
            faults.Duplicate |= found.Length > 1;
            return found.FirstOrDefault();
        }
    }

    private static FormatError? Size(Tensor tensor, out BigInteger bytes)
    {
        BigInteger count = 1;
        bytes = 0;
        foreach (BigInteger dimension in tensor.Shape)
        {
            count *= dimension;
            if (count >= Words) return FormatError.ValidationOverflow;
        }

        BigInteger bits = count * Bits[tensor.Dtype];
        if (bits >= Words) return FormatError.ValidationOverflow;
        if (bits % 8 != 0) return FormatError.MisalignedSlice;
        bytes = bits / 8;

        // Legal on the wire beside a dimension 0, but no program can hold it.
        return tensor.Shape.Any(d => d > long.MaxValue) ? FormatError.ValidationOverflow : null;
    }

    private static List<(string Key, PlainValue Value)> DistinctKeys(PlainValue map, Faults faults)
    {
        var distinct = new List<(string, PlainValue)>();
        var seen = new HashSet<string>();
        foreach ((string? key, PlainValue value) in map.Entries)
        {
            if (key is null) faults.Malformed = true;
            else if (!seen.Add(key)) faults.Duplicate = true;
            if (key is not null) distinct.Add((key, value));
        }

        return distinct;
    }

    private static BigInteger? Unsigned(PlainValue value) =>
        value is { Kind: '0', Text: { } digits } && digits.All(char.IsAsciiDigit)
        && BigInteger.Parse(digits) is var number && number < Words ? number : null;

    private static bool IsPlainName(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal) && name != ".safetensors"
        && name.All(c => c is not ('/' or '\\' or ':' or < ' ' or (>= '\u007f' and <= '\u009f')));

    private sealed class Faults
    {
        public bool Malformed { get; set; }

        public bool Duplicate { get; set; }

        public FormatError[] Errors(FormatError malformed) => (Malformed, Duplicate) switch
        {
            (true, true) => [malformed, FormatError.DuplicateKey],
            (true, false) => [malformed],
            (false, true) => [FormatError.DuplicateKey],
            _ => [],
        };
    }

    private sealed record Tensor(string Name, string Dtype, BigInteger[] Shape, BigInteger Begin, BigInteger End)
    {
        public override string ToString() =>
            Describe(Name, Dtype, Shape.Select(d => d.ToString()), Begin.ToString(), End.ToString());
    }
}
