using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Smile;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>A model upscaled by the product, on disk until disposed.</summary>
internal sealed class SmileRun : IDisposable
{
    private readonly TemporaryModels _models;
    private readonly GoldenFile _output;

    /// <summary>Upscales <c>base</c> by the other models, in the order of their names.</summary>
    /// <param name="models">The models' tensors.</param>
    /// <param name="config">The base's config.json.</param>
    /// <param name="parameters">The method's.</param>
    public SmileRun(
        IReadOnlyDictionary<string, MemoryTensor[]> models,
        string? config,
        params (string Name, Setting Value)[] parameters)
    {
        _models = new TemporaryModels(models);
        if (config is not null)
            _models.Write("base", "config.json", config);
        var recipe = models.Keys.Where(m => m != "base").Order(StringComparer.Ordinal)
            .Aggregate(Recipe.For("smile").WithBase("base").WithDtype("float32"), (r, m) => r.Add(m));
        recipe = parameters.Aggregate(recipe, (r, p) => r.With(p.Name, p.Value));
        var options = new MergeOptions { ModelRoot = _models.Root, Threads = 2 };
        Merge.RunAsync(recipe, Path, options).GetAwaiter().GetResult();
        _output = GoldenFile.Read(System.IO.Path.Combine(Path, "model.safetensors"));
    }

    /// <summary>The output folder.</summary>
    public string Path => _models["output"];

    /// <summary>The output's tensors.</summary>
    public IReadOnlyCollection<string> Names => _output.Names;

    /// <summary>A tensor of the output.</summary>
    public GoldenTensor this[string name] => _output[name];

    /// <summary>The output opened for forward passes.</summary>
    public SmileModel Open() => SmileModel.Open(Path);

    /// <inheritdoc/>
    public void Dispose() => _models.Dispose();

    /// <summary>A golden tensor under a name of its own.</summary>
    public static MemoryTensor Stored(string name, GoldenTensor tensor) =>
        DtypeExtensions.TryParse(tensor.Dtype, out Dtype dtype)
            ? new MemoryTensor(name, dtype, tensor.Shape, tensor.Bytes)
            : throw new ArgumentException($"no dtype '{tensor.Dtype}'");
}
