namespace FusionKernels.Recipes;

/// <summary>One model of a recipe.</summary>
/// <param name="Path">Folder or file of the checkpoint, as written; <c>path+adapter</c> applies a LoRA to it.</param>
public sealed record RecipeModel(string Path)
{
    internal static readonly IReadOnlyDictionary<string, Setting> NoParameters = new Dictionary<string, Setting>();

    /// <summary>In a slice, the layers [First, End) that the model gives; <c>null</c> for all.</summary>
    public (int First, int End)? Layers { get; init; }

    /// <summary>The model's own parameters; they win over the recipe's.</summary>
    public IReadOnlyDictionary<string, Setting> Parameters { get; init; } = NoParameters;
}
