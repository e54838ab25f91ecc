using System.Diagnostics.CodeAnalysis;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>A model as a checkpoint stores it.</summary>
/// <param name="checkpoint">The checkpoint; the model owns it.</param>
internal sealed class StoredModel(Checkpoint checkpoint) : Model
{
    private readonly Dictionary<string, ModelTensor> _byName =
        checkpoint.Tensors.ToDictionary(t => t.Name, ModelTensor (t) => new StoredTensor(t));

    /// <inheritdoc/>
    public override string Folder => checkpoint.Folder;

    /// <inheritdoc/>
    public override IReadOnlyCollection<ModelTensor> Tensors => _byName.Values;

    /// <inheritdoc/>
    public override IEnumerable<ShardFile> Shards => checkpoint.Shards;

    /// <inheritdoc/>
    public override bool TryGet(string name, [MaybeNullWhen(false)] out ModelTensor tensor) => _byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    public override void Dispose() => checkpoint.Dispose();
}
