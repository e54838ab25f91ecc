using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>An adapter of PEFT: its tensors, sorted by what they do to which tensor of a model.</summary>
internal sealed class LoraAdapter : IDisposable
{
    /// <summary>What every tensor's name begins with.</summary>
    public const string Prefix = "base_model.model.";

    private const int MaxConfigBytes = 1_000_000;
    private static readonly string[] WeightFiles = ["adapter_model.safetensors", "adapter_model.bin"];
    private readonly Checkpoint _checkpoint;

    /// <summary>Sorts the tensors of an adapter; owns the checkpoint.</summary>
    /// <exception cref="MergeException">A tensor is none that a LoRA has.</exception>
    public LoraAdapter(Checkpoint checkpoint, LoraConfig config)
    {
        (_checkpoint, Config) = (checkpoint, config);
        foreach (var tensor in checkpoint.Tensors)
            Sort(tensor);
    }

    /// <summary>How the tensors are meant.</summary>
    public LoraConfig Config { get; }

    /// <summary>The folder.</summary>
    public string Folder => _checkpoint.Folder;

    /// <summary>The file that the configuration comes from.</summary>
    public string ConfigPath => Path.Combine(Folder, LoraConfig.FileName);

    /// <summary>The files.</summary>
    public IEnumerable<ShardFile> Shards => _checkpoint.Shards;

    /// <summary>The modules that get a low-rank update, by name.</summary>
    public Dictionary<string, LoraModule> Modules { get; } = [];

    /// <summary>Tensors that replace the model's (modules_to_save, trained biases), by the model's names.</summary>
    public Dictionary<string, CheckpointTensor> Whole { get; } = [];

    /// <summary>Opens an adapter's folder.</summary>
    /// <exception cref="SourceUnavailableException">A file is missing or cannot be read.</exception>
    /// <exception cref="SafetensorsException">The weights' file is invalid.</exception>
    /// <exception cref="MergeException">The adapter is no LoRA, or one that is not supported.</exception>
    public static LoraAdapter Open(string folder, SafetensorsOptions options)
    {
        string configPath = Path.Combine(folder, LoraConfig.FileName);
        var config = LoraConfig.Parse(ReadConfig(configPath), configPath);
        string[] paths = WeightFiles.Select(f => Path.Combine(folder, f)).ToArray();
        var checkpoint = Checkpoint.Open(paths.FirstOrDefault(Path.Exists) ?? paths[0], options);
        try
        {
            return new LoraAdapter(checkpoint, config);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>An error about a tensor of an adapter.</summary>
    public static MergeException Error(CheckpointTensor tensor, string message) =>
        new(MergeError.Models, $"{tensor.Shard.Path}: {tensor.Name}: {message}");

    /// <summary>The error of a part that gives another shape than the model's tensor has.</summary>
    public static MergeException Misfit(CheckpointTensor part, IReadOnlyList<long> shape, ModelTensor target) => Error(
        part, $"gives [{string.Join(", ", shape)}], but {target.Name} is [{string.Join(", ", target.Shape)}]");

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    private static byte[] ReadConfig(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxConfigBytes)
                throw new MergeException(MergeError.Models, $"{path}: has more than {MaxConfigBytes} bytes");
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SourceUnavailableException(path, "does not exist, so the folder is no adapter", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new SourceUnavailableException(path, "permission denied", e);
        }
    }

    private void Sort(CheckpointTensor tensor)
    {
        if (!tensor.Name.StartsWith(Prefix, StringComparison.Ordinal))
            throw Error(tensor, $"its name does not begin with '{Prefix}', as PEFT's do");
        if (Elements.Of(tensor.Dtype) is null)
            throw Error(tensor, $"is {tensor.Dtype.WireName()}, not floating-point data");
        string name = tensor.Name[Prefix.Length..];
        if (LoraModule.Suffixes.FirstOrDefault(s => name.EndsWith(s, StringComparison.Ordinal)) is { } suffix)
        {
            string module = name[..^suffix.Length];
            if (!Modules.TryGetValue(module, out var parts))
                Modules.Add(module, parts = new LoraModule(module));
            if (!parts.TryAdd(suffix, tensor))
                throw Error(tensor, "is a part that the layer has already, under another name");
            return;
        }

        // PEFT wraps a layer that it trains whole, or of which it trains the bias, and may leave the wrapper's name in.
        string inModel = name.Replace(".modules_to_save.", ".", StringComparison.Ordinal)
            .Replace(".base_layer.", ".", StringComparison.Ordinal);
        if (!Whole.TryAdd(inModel, tensor))
            throw Error(tensor, $"replaces {inModel}, as {Whole[inModel].Name} does");
    }
}
