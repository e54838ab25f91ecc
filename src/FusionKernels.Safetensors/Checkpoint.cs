using System.Diagnostics.CodeAnalysis;

namespace FusionKernels.Safetensors;

/// <summary>A checkpoint of one or many shards, all open and checked against each other and the index.</summary>
public sealed class Checkpoint : IDisposable
{
    // The spellings of transformers, peft and diffusers, in the order in which they are looked for.
    private static readonly string[] UsualNames =
    [
        "model.safetensors", "adapter_model.safetensors", "diffusion_pytorch_model.safetensors",
        "pytorch_model.bin", "adapter_model.bin", "diffusion_pytorch_model.bin",
    ];

    private static readonly string[] PickleEndings = [".bin", ".pt", ".pth"];

    private readonly ShardFile[] shards;
    private readonly CheckpointTensor[] tensors;
    private readonly Dictionary<string, CheckpointTensor> byName;
    private readonly List<string> warnings;

    private Checkpoint(string folder, ShardFile[] shards, List<string> warnings)
    {
        Folder = folder;
        this.shards = shards;
        this.warnings = warnings;
        tensors = new CheckpointTensor[shards.Sum(shard => shard.Tensors.Count)];
        byName = new Dictionary<string, CheckpointTensor>(tensors.Length);
        int next = 0;
        foreach (ShardFile shard in shards)
        {
            foreach (TensorInfo info in shard.Tensors)
            {
                var tensor = new CheckpointTensor(shard, info);
                tensors[next++] = tensor;
                if (byName.TryAdd(info.Name, tensor)) continue;
                throw new SafetensorsException(
                    FormatError.DuplicateTensor,
                    shard.Path,
                    info.Name,
                    $"is also in {Path.GetFileName(byName[info.Name].Shard.Path)}");
            }
        }
    }

    /// <summary>The full path of the folder that holds the shards.</summary>
    public string Folder { get; }

    /// <summary>The files, by name.</summary>
    public IReadOnlyList<ShardFile> Shards => shards;

    /// <summary>All tensors: shard by shard, in the order of their bytes.</summary>
    public IReadOnlyList<CheckpointTensor> Tensors => tensors;

    /// <summary>The metadata of the first shard.</summary>
    public IReadOnlyDictionary<string, string> Metadata => shards[0].Metadata;

    /// <summary>What is odd about the checkpoint, but keeps nobody from reading it. One line each.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">
    /// A safetensors file, a file of torch.save (<c>.bin</c>, <c>.pt</c>, <c>.pth</c>), an index file, or a folder with
    /// an index or a single file of a usual name (<c>model.safetensors</c>, <c>adapter_model</c>,
    /// <c>diffusion_pytorch_model</c>, then the same as <c>.bin</c>), or with exactly one safetensors file.
    /// </param>
    /// <param name="options">How to open the files.</param>
    /// <exception cref="SourceUnavailableException">There is no checkpoint, or a file cannot be read.</exception>
    /// <exception cref="SafetensorsException">A rule of the format is broken, or index and shards disagree.</exception>
    public static Checkpoint Open(string path, SafetensorsOptions? options = null)
    {
        options ??= SafetensorsOptions.Default;
        path = Path.GetFullPath(path);
        var warnings = new List<string>();
        if (Directory.Exists(path)) path = Locate(path, warnings);
        string folder = Path.GetDirectoryName(path)!;
        if (!path.EndsWith(".json", StringComparison.Ordinal))
        {
            return Assemble(folder, [path], options, warnings);
        }

        ShardIndex index = ReadIndex(path, options);
        string[] files = [.. index.WeightMap.Values.Distinct().Order(Utf8Order.Instance)];
        string[] shardPaths = [.. files.Select(file => Path.Combine(folder, file))];
        Checkpoint checkpoint = Assemble(folder, shardPaths, options, warnings, path);
        try
        {
            checkpoint.CompareWith(index, path);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>A checkpoint of one file whose bytes the caller provides; the result owns the source.</summary>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static Checkpoint Open(IShardSource source, SafetensorsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        string folder = Path.GetDirectoryName(source.Path) ?? "";
        return new Checkpoint(folder, [OpenShard(source, options ?? SafetensorsOptions.Default)], []);
    }

    /// <summary>Finds a tensor by its name.</summary>
    public bool TryGet(string name, [MaybeNullWhen(false)] out CheckpointTensor tensor) =>
        byName.TryGetValue(name, out tensor);

    /// <summary>Closes all shards; pointers into their maps are invalid from here on.</summary>
    public void Dispose()
    {
        foreach (ShardFile shard in shards) shard.Dispose();
    }

    private static string Locate(string folder, List<string> warnings)
    {
        foreach (string name in UsualNames)
        {
            string single = Path.Combine(folder, name);
            string index = single + ".index.json";
            if (Path.Exists(index))
            {
                if (Path.Exists(single)) warnings.Add($"{index}: is used, {name} next to it is not");
                return index;
            }

            if (Path.Exists(single)) return single;
        }

        string[] files;
        try
        {
            files = Directory.GetFiles(folder, "*.safetensors");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new SourceUnavailableException(folder, "permission denied", e);
        }

        return files.Length switch
        {
            0 => throw new SourceUnavailableException(folder, "holds no safetensors file and no pytorch_model.bin"),
            1 => files[0],
            _ => throw new SourceUnavailableException(
                folder, $"holds {files.Length} safetensors files and no index that says which belong together"),
        };
    }

    private static Checkpoint Assemble(
        string folder, string[] paths, SafetensorsOptions options, List<string> warnings, string? indexPath = null)
    {
        var shards = new List<ShardFile>(paths.Length);
        try
        {
            foreach (string path in paths)
            {
                if (indexPath is not null && !Path.Exists(path))
                {
                    throw new SafetensorsException(
                        FormatError.MissingShard, indexPath, null, $"shard {Path.GetFileName(path)} does not exist");
                }

                shards.Add(OpenShard(ShardSource.Open(path, options), options));
            }

            return new Checkpoint(folder, [.. shards], warnings);
        }
        catch
        {
            foreach (ShardFile shard in shards) shard.Dispose();
            throw;
        }
    }

    private static ShardFile OpenShard(IShardSource source, SafetensorsOptions options) =>
        PickleEndings.Contains(Path.GetExtension(source.Path), StringComparer.OrdinalIgnoreCase)
            ? PickleFile.Open(source)
            : SafetensorsFile.Open(source, options);

    private static ShardIndex ReadIndex(string path, SafetensorsOptions options)
    {
        using IShardSource source = ShardSource.Open(path, options with { Access = SourceAccess.Read });
        if (source.Length > SafetensorsHeader.MaxLength)
        {
            throw new SafetensorsException(
                FormatError.InvalidIndex, path, null, $"index exceeds {SafetensorsHeader.MaxLength} bytes");
        }

        byte[] text = new byte[source.Length];
        source.Read(0, text);
        return ShardIndex.Parse(text, path);
    }

    private void CompareWith(ShardIndex index, string path)
    {
        foreach ((string name, string file) in index.WeightMap)
        {
            string? actual = byName.TryGetValue(name, out CheckpointTensor? tensor)
                ? Path.GetFileName(tensor.Shard.Path)
                : null;
            if (actual == file) continue;
            throw new SafetensorsException(
                FormatError.TensorNotInShard,
                path,
                name,
                actual is null ? $"is not in {file}" : $"is not in {file} but in {actual}");
        }

        foreach (CheckpointTensor tensor in tensors)
        {
            if (index.WeightMap.ContainsKey(tensor.Name)) continue;
            throw new SafetensorsException(
                FormatError.TensorNotInIndex, tensor.Shard.Path, tensor.Name, "is not in the index");
        }

        ulong total = (ulong)tensors.Sum(tensor => tensor.ByteLength);
        if (index.TotalSize != total)
        {
            string claim = index.TotalSize is { } size ? $"is {size}" : "is not given as an integer";
            warnings.Add($"{path}: total_size {claim}, the tensors have {total} bytes");
        }
    }
}
