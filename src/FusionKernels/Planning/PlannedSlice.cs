using FusionKernels.Recipes;

namespace FusionKernels.Planning;

/// <summary>A slice with its checkpoints open. A recipe of whole models is one slice without a layer count.</summary>
/// <param name="Origin">The base of deltas, for methods that need one.</param>
/// <param name="Sources">The models that are merged, in recipe order, without the base.</param>
/// <param name="Layers">Output layers of the slice, or <c>null</c> for whole models.</param>
/// <param name="Parameters">The slice's own parameters.</param>
internal sealed record PlannedSlice(
    SliceSource? Origin,
    IReadOnlyList<SliceSource> Sources,
    int? Layers,
    IReadOnlyDictionary<string, Setting> Parameters)
{
    /// <summary>Everything that is merged, the origin first.</summary>
    public IEnumerable<SliceSource> All => Origin is null ? Sources : [Origin, .. Sources];

    /// <summary>For each output layer of the slice, the layers that it is merged from.</summary>
    public IEnumerable<IReadOnlyList<SourceLayer>> SourceLayers => Enumerable.Range(0, Layers ?? 0)
        .Select(i => (IReadOnlyList<SourceLayer>)[.. All.Select(s => new SourceLayer(s.Model, s.FirstLayer + i))]);
}

/// <summary>One model's part in a slice.</summary>
/// <param name="Model">The model.</param>
/// <param name="FirstLayer">Its layer that becomes the slice's first.</param>
/// <param name="Parameters">The recipe's parameters for it in this slice.</param>
internal sealed record SliceSource(PlannedModel Model, int FirstLayer, IReadOnlyDictionary<string, Setting> Parameters);

/// <summary>A layer of a model.</summary>
/// <param name="Model">The model.</param>
/// <param name="Layer">Its number.</param>
internal sealed record SourceLayer(PlannedModel Model, int Layer);
