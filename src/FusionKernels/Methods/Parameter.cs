namespace FusionKernels.Methods;

/// <summary>Whom a merge parameter belongs to.</summary>
public enum ParameterScope
{
    /// <summary>One value per tensor for the whole merge.</summary>
    Global,

    /// <summary>One value per tensor and model; a value on the model wins over one for all models.</summary>
    PerModel,
}

/// <summary>A parameter that a merge method takes.</summary>
/// <param name="Name">Name in recipes.</param>
/// <param name="Scope">Whom it belongs to.</param>
/// <param name="Default">The value when the recipe has none; <c>null</c> = no value, which is an error when <paramref name="Required"/>.</param>
/// <param name="Meaning">One line for people.</param>
/// <param name="Required">Whether a recipe must give it (for every model but the base).</param>
/// <param name="Words">For a choice, the words it takes, the default first; else <c>null</c>.</param>
/// <param name="Least">The least number that makes sense, or <c>null</c>; smaller ones are refused.</param>
public sealed record Parameter(
    string Name,
    ParameterScope Scope,
    double? Default,
    string Meaning,
    bool Required = false,
    IReadOnlyList<string>? Words = null,
    double? Least = null);
