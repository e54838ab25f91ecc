using System.Diagnostics.CodeAnalysis;
using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>A model with a LoRA applied to it while it is read.</summary>
internal sealed class LoraModel : Model
{
    private readonly Model _base;
    private readonly LoraAdapter _adapter;
    private readonly Dictionary<string, ModelTensor> _byName;

    /// <summary>Matches an adapter with a model; owns both.</summary>
    /// <exception cref="MergeException">Some part of the adapter fits no tensor of the model.</exception>
    public LoraModel(Model basis, LoraAdapter adapter)
    {
        (_base, _adapter) = (basis, adapter);
        var cache = new LoraCache();
        _byName = basis.Tensors.ToDictionary(t => t.Name);
        foreach (var (name, whole) in adapter.Whole)
        {
            var target = Target(name, whole);
            if (!whole.Shape.SequenceEqual(target.Shape))
                throw LoraAdapter.Misfit(whole, whole.Shape, target);
            _byName[name] = new ReplacedTensor(target, whole);
        }

        foreach (var module in adapter.Modules.Values)
        {
            if (module.A is not null || module.B is not null || module.Bias is null)
                Update($"{module.Name}.weight", module.Any, module.WeightFactors);
            if (module.Bias is not null)
                Update($"{module.Name}.bias", module.Bias, module.BiasFactors);
        }

        // A rank of zero, as an extraction may write for a layer that hardly changed, updates nothing.
        void Update(string name, CheckpointTensor part, Func<ModelTensor, LoraConfig, LoraFactors> factorsOf)
        {
            var target = Target(name, part);
            var factors = factorsOf(target, adapter.Config);
            if (factors.Rank > 0)
                _byName[name] = new LoraTensor(target, factors, cache);
        }
    }

    /// <summary>Opens an adapter's folder and matches it with a model, which it owns if all goes well.</summary>
    /// <exception cref="SourceUnavailableException">A file is missing or cannot be read.</exception>
    /// <exception cref="SafetensorsException">The adapter's weights are no valid file.</exception>
    /// <exception cref="MergeException">The adapter is none that can be applied to the model.</exception>
    public static LoraModel Open(Model basis, string folder, SafetensorsOptions options)
    {
        var adapter = LoraAdapter.Open(folder, options);
        try
        {
            return new LoraModel(basis, adapter);
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override string Folder => _base.Folder;

    /// <inheritdoc/>
    public override IReadOnlyCollection<ModelTensor> Tensors => _byName.Values;

    /// <inheritdoc/>
    public override IEnumerable<ShardFile> Shards => _base.Shards.Concat(_adapter.Shards);

    /// <inheritdoc/>
    public override IEnumerable<(string Path, byte[] Text)> Settings =>
        _base.Settings.Append((_adapter.ConfigPath, _adapter.Config.Text));

    /// <inheritdoc/>
    public override byte[]? ReadFile(string name) => _base.ReadFile(name);

    /// <inheritdoc/>
    public override bool TryGet(string name, [MaybeNullWhen(false)] out ModelTensor tensor) =>
        _byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    public override void Dispose()
    {
        _adapter.Dispose();
        _base.Dispose();
    }

    private ModelTensor Target(string name, CheckpointTensor part)
    {
        if (!_byName.TryGetValue(name, out var target))
            throw LoraAdapter.Error(part, $"the model in {Folder} has no tensor {name}");
        if (Elements.Of(target.Dtype) is null)
            throw LoraAdapter.Error(part, $"{name} is {target.Dtype.WireName()} in the model, not floating-point data");
        return target;
    }
}
