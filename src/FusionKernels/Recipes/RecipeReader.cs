namespace FusionKernels.Recipes;

/// <summary>Reads mergekit's YAML recipes.</summary>
public static class RecipeReader
{
    /// <summary>Reads a recipe file.</summary>
    /// <param name="path">The YAML (or JSON) file, at most 1 MB.</param>
    /// <param name="lenient">Ignore unknown keys with a warning, as mergekit does silently, instead of refusing them.</param>
    /// <exception cref="MergeException">Names file, line and key of what is wrong.</exception>
    public static Recipe Load(string path, bool lenient = false) => throw new NotImplementedException();

    /// <summary>Reads a recipe from text; <paramref name="name"/> stands for the file in messages.</summary>
    public static Recipe Parse(string text, string name = "recipe", bool lenient = false) => throw new NotImplementedException();
}
