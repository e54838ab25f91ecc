using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace FusionKernels.Safetensors;

/// <summary>
/// The place of every byte of a checkpoint, known before any of its data. Shards can then be written by any thread in
/// any order, and a run can be resumed.
/// </summary>
public sealed class OutputLayout
{
    /// <summary>The file name of the index of a sharded checkpoint.</summary>
    public const string IndexFileName = "model.safetensors.index.json";

    /// <summary>The usual limit of a shard, in bytes of tensor data.</summary>
    public const long DefaultMaxShardBytes = 5_000_000_000;

    private static readonly Dictionary<string, string> PyTorchMetadata = new() { ["format"] = "pt" };

    private readonly Dictionary<string, PlacedTensor> byName;

    private OutputLayout(ShardLayout[] shards)
    {
        Shards = shards;
        byName = shards.SelectMany(shard => shard.Tensors).ToDictionary(tensor => tensor.Name);
        TotalSize = byName.Values.Sum(tensor => tensor.ByteLength);
        if (shards.Length > 1) IndexJson = WriteIndex();
    }

    /// <summary>The files, in the order of their numbers; at least one.</summary>
    public IReadOnlyList<ShardLayout> Shards { get; }

    /// <summary>Bytes of tensor data, headers not counted.</summary>
    public long TotalSize { get; }

    /// <summary>The bytes of the index; null for a single file, which has none.</summary>
    public ReadOnlyMemory<byte>? IndexJson { get; }

    /// <summary>Finds the place of a tensor by its name.</summary>
    public bool TryGet(string name, [MaybeNullWhen(false)] out PlacedTensor tensor) =>
        byName.TryGetValue(name, out tensor);

    /// <summary>
    /// Lays out a checkpoint as huggingface_hub does. Tensors fill shards in the given order; one larger than the limit
    /// gets a shard of its own. In a shard they are sorted by type, widest rank first, then by name, as the reference
    /// implementation does.
    /// </summary>
    /// <param name="tensors">All tensors; names are unique.</param>
    /// <param name="metadata">
    /// The <c>__metadata__</c> of every shard; null for <c>{"format":"pt"}</c>, without which some loaders refuse a
    /// file; empty for none.
    /// </param>
    /// <param name="maxShardBytes">Most bytes of tensor data in a shard.</param>
    /// <param name="stem">What the files' names begin with.</param>
    /// <exception cref="ArgumentException">A name is not unique, not valid Unicode or <c>__metadata__</c>, or a
    /// dimension is negative.</exception>
    /// <exception cref="SafetensorsException">A tensor or a header would break a rule of the format.</exception>
    public static OutputLayout Plan(
        IReadOnlyList<TensorSpec> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        long maxShardBytes = DefaultMaxShardBytes,
        string stem = "model")
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxShardBytes);

        List<List<(TensorSpec Spec, long Bytes)>> groups = Group(tensors, maxShardBytes);
        var shards = new ShardLayout[groups.Count];
        for (int i = 0; i < shards.Length; i++)
        {
            string fileName = shards.Length == 1
                ? $"{stem}.safetensors"
                : string.Create(CultureInfo.InvariantCulture, $"{stem}-{i + 1:D5}-of-{shards.Length:D5}.safetensors");
            shards[i] = new ShardLayout(i, fileName, Arrange(groups[i]), metadata ?? PyTorchMetadata);
        }

        return new OutputLayout(shards);
    }

    private static List<List<(TensorSpec Spec, long Bytes)>> Group(
        IReadOnlyList<TensorSpec> tensors, long maxShardBytes)
    {
        var names = new HashSet<string>();
        var groups = new List<List<(TensorSpec Spec, long Bytes)>>();
        var current = new List<(TensorSpec Spec, long Bytes)>();
        long currentBytes = 0;
        foreach (TensorSpec tensor in tensors)
        {
            if (!names.Add(tensor.Name)) throw new ArgumentException($"two tensors are called '{tensor.Name}'");
            long bytes = ByteLength(tensor);
            if (bytes > maxShardBytes)
            {
                groups.Add([(tensor, bytes)]);
                continue;
            }

            if (bytes > maxShardBytes - currentBytes)
            {
                groups.Add(current);
                current = [];
                currentBytes = 0;
            }

            current.Add((tensor, bytes));
            currentBytes += bytes;
        }

        if (current.Count > 0 || groups.Count == 0) groups.Add(current);
        return groups;
    }

    private static TensorInfo[] Arrange(List<(TensorSpec Spec, long Bytes)> group)
    {
        var arranged = new TensorInfo[group.Count];
        long end = 0;
        int next = 0;
        foreach ((TensorSpec spec, long bytes) in group
            .OrderByDescending(tensor => tensor.Spec.Dtype)
            .ThenBy(tensor => tensor.Spec.Name, Utf8Order.Instance))
        {
            arranged[next++] = new TensorInfo(spec.Name, spec.Dtype, spec.Shape, end, checked(end + bytes));
            end += bytes;
        }

        return arranged;
    }

    private static long ByteLength(TensorSpec tensor)
    {
        if (tensor.Name == HeaderWriter.MetadataKey)
        {
            throw new ArgumentException($"no tensor can be called {HeaderWriter.MetadataKey}");
        }

        foreach (long dimension in tensor.Shape) ArgumentOutOfRangeException.ThrowIfNegative(dimension);
        FormatError? error = TensorSize.Measure(tensor.Dtype, tensor.Shape, out ulong bytes);
        if (error is null && bytes > long.MaxValue) error = FormatError.ValidationOverflow;
        return error is null
            ? (long)bytes
            : throw new SafetensorsException(
                error.Value, "output", tensor.Name, $"{tensor.Dtype.WireName()} of this shape cannot be stored");
    }

    private byte[] WriteIndex()
    {
        var json = new JsonText();
        json.Raw(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\n  \"metadata\": {{\n    \"total_size\": {TotalSize}\n  }},\n  \"weight_map\": {{"));
        string separator = "\n    ";
        foreach (PlacedTensor tensor in byName.Values.OrderBy(tensor => tensor.Name, Utf8Order.Instance))
        {
            json.Raw(separator).PythonString(tensor.Name).Raw(": ").PythonString(Shards[tensor.Shard].FileName);
            separator = ",\n    ";
        }

        return json.Raw("\n  }\n}\n").ToArray();
    }
}
