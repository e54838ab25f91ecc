namespace FusionKernels.Recipes;

/// <summary>
/// A run of output layers: from each source the same number of layers, merged pairwise. Slices are stacked in order, their layers
/// numbered through.
/// </summary>
/// <param name="Sources">The models, each with the layers it gives.</param>
public sealed record RecipeSlice(IReadOnlyList<RecipeModel> Sources)
{
    /// <summary>The base of this slice, or <c>null</c> for the recipe's.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Parameters of this slice; a source's own win over them.</summary>
    public IReadOnlyDictionary<string, Setting> Parameters { get; init; } = RecipeModel.NoParameters;
}
