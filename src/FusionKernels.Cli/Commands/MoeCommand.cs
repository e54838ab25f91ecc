using System.CommandLine;
using FusionKernels.Recipes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion moe CONFIG OUT</c>: puts a mixture of experts together.</summary>
internal sealed class MoeCommand : RecipeCommand
{
    private readonly Argument<string> _config;

    public MoeCommand()
        : this(new Argument<string>("CONFIG") { Description = "The mixture: mergekit-moe's YAML, with random gates" })
    {
    }

    private MoeCommand(Argument<string> config)
        : base("moe", "Put a mixture of experts together from dense models", config)
    {
        _config = config;
    }

    /// <inheritdoc/>
    protected override Recipe Read(ParseResult parsed, MergeOptions options, Terminal terminal) =>
        MoeRecipeReader.Load(parsed.GetRequiredValue(_config), options.Lenient);
}
