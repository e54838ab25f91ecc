using System.CommandLine;
using FusionKernels.Recipes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion merge RECIPE OUT</c>: runs a recipe.</summary>
internal sealed class MergeCommand : RecipeCommand
{
    private readonly Argument<string> _recipe;

    private readonly Option<RandomGenerator?> _rng = new("--rng")
    {
        Description = "Generator of random masks, instead of the recipe's: torch draws what mergekit draws",
    };

    private readonly Option<MissingTensors?> _missing = new("--missing")
    {
        Description = "A tensor that a model lacks: refuse it, skip the model, take the base's, or drop it",
    };

    public MergeCommand()
        : this(new Argument<string>("RECIPE") { Description = "The recipe: mergekit's YAML" })
    {
    }

    private MergeCommand(Argument<string> recipe)
        : base("merge", "Merge models as a recipe says", recipe)
    {
        _recipe = recipe;
        _missing.AcceptOnlyFromAmong("refuse", "skip", "base", "drop");
        _rng.AcceptOnlyFromAmong("philox", "torch");
        Add(_rng);
        Add(_missing);
    }

    /// <inheritdoc/>
    protected override Recipe Read(ParseResult parsed, MergeOptions options, Terminal terminal)
    {
        var recipe = RecipeReader.Load(parsed.GetRequiredValue(_recipe), options.Lenient);
        if (parsed.GetValue(_rng) is { } rng)
            recipe = recipe.Change(r => r with { Rng = rng });
        if (parsed.GetValue(_missing) is { } missing)
            recipe = recipe.Change(r => r with { MissingTensors = missing });
        return recipe;
    }
}
