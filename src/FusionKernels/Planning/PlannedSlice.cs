using FusionKernels.Recipes;

namespace FusionKernels.Planning;

/// <summary>A slice with its checkpoints open. A recipe of whole models is one slice without a layer count.</summary>
/// <param name="Origin">The base of deltas, for methods that need one.</param>
/// <param name="Sources">The models that are merged, in recipe order, without the base.</param>
/// <param name="Layers">Output layers of the slice, or <c>null</c> for whole models.</param>
/// <param name="Parameters">The slice's own parameters.</param>
internal sealed record PlannedSlice(
    SliceSource? Origin, IReadOnlyList<SliceSource> Sources, int? Layers, IReadOnlyDictionary<string, Setting> Parameters);

/// <summary>One model's part in a slice.</summary>
/// <param name="Model">The model.</param>
/// <param name="FirstLayer">Its layer that becomes the slice's first.</param>
/// <param name="Parameters">The recipe's parameters for it in this slice.</param>
internal sealed record SliceSource(PlannedModel Model, int FirstLayer, IReadOnlyDictionary<string, Setting> Parameters);
