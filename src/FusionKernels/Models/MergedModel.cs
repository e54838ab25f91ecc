using System.Diagnostics.CodeAnalysis;
using FusionKernels.Execution;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// The output of a merge as a model of another merge, without being written: names, shapes, dtypes and order are those
/// of the plan, each tensor is merged when it is needed.
/// </summary>
internal sealed class MergedModel : Model
{
    private readonly MergePlan _plan;
    private readonly Dictionary<string, ModelTensor> _byName;
    private readonly Lazy<IReadOnlyList<(string Name, byte[] Bytes)>> _files;

    /// <summary>The output of a plan that a recipe calls <paramref name="name"/>.</summary>
    public MergedModel(string name, MergePlan plan)
    {
        _plan = plan;
        _byName = plan.Layout.Shards.SelectMany(s => s.Tensors).ToDictionary(place => place.Name, ModelTensor (place) =>
            plan.Tensors[place.Name] is { IsCopy: true } copy && copy.Sources[0].Input.Dtype == place.Dtype
                ? new CopiedTensor(copy.Sources[0].Input, place)
                : new MergedTensor(name, plan, place));
        _files = new(() => ModelFiles.Of(plan));
    }

    /// <inheritdoc/>
    public override string Folder => _plan.Donor.Input.Folder;

    /// <inheritdoc/>
    public override IReadOnlyCollection<ModelTensor> Tensors => _byName.Values;

    /// <inheritdoc/>
    public override IEnumerable<ShardFile> Shards => _plan.InputShards;

    /// <inheritdoc/>
    public override IEnumerable<(string Path, byte[] Text)> Settings => _plan.InputSettings;

    /// <inheritdoc/>
    public override byte[]? ReadFile(string name) => _files.Value.FirstOrDefault(f => f.Name == name).Bytes;

    /// <inheritdoc/>
    public override bool TryGet(string name, [MaybeNullWhen(false)] out ModelTensor tensor) =>
        _byName.TryGetValue(name, out tensor);

    /// <summary>Nothing: whoever opened the plan's own models closes them.</summary>
    public override void Dispose()
    {
    }
}
