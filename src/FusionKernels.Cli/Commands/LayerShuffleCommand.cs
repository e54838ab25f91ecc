using System.CommandLine;
using System.Text.Json.Nodes;
using FusionKernels.Recipes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion layershuffle OUT</c>: stacks layers that are drawn at random from models.</summary>
internal sealed class LayerShuffleCommand : RecipeCommand
{
    private readonly Option<string[]> _models = new("--model", "-m")
    {
        Description = "A model; give the option once per model", HelpName = "PATH", Required = true,
    };

    private readonly Option<double[]> _weights = new("--weight", "-w")
    {
        Description = "A model's weight, in the order of the models; --full-random draws its layers times this "
            + "[default: 1]",
        HelpName = "W",
    };

    private readonly Option<bool> _fullRandom = new("--full-random")
    {
        Description = "Draw which layers too, and their order, instead of a model for each layer",
    };

    private readonly Option<bool> _half = new("--fp16") { Description = "Write float16" };

    private readonly Option<bool> _printYaml = new("--print-yaml")
    {
        Description = "Write the recipe to stdout; with --json, as a string in a line of JSON",
    };

    private readonly Option<string> _writeYaml = new("--write-yaml")
    {
        Description = "Write the recipe to a file", HelpName = "FILE",
    };

    private readonly Option<bool> _dryRun = new("--dry-run") { Description = "Do not run the recipe" };

    public LayerShuffleCommand()
        : base("layershuffle", "Stack layers drawn at random from models")
    {
        foreach (var option in new Option[] { _models, _weights, _fullRandom, _half, _printYaml, _writeYaml, _dryRun })
            Add(option);
        _weights.CustomParser = result =>
            [.. result.Tokens.Select(t => ReadNumber(result, t.Value, weight => weight >= 0, "number from 0 on"))];
    }

    /// <inheritdoc/>
    protected override Recipe? Read(ParseResult parsed, MergeOptions options, Terminal terminal)
    {
        string[] models = parsed.GetRequiredValue(_models);
        double[] weights = parsed.GetValue(_weights) is { Length: > 0 } given ? given : [.. models.Select(_ => 1.0)];
        if (weights.Length != models.Length)
            throw new MergeException(MergeError.Recipe, $"{models.Length} models and {weights.Length} weights");
        var recipe = LayerShuffle.Draw([.. models.Zip(weights)], parsed.GetValue(_fullRandom), options);
        if (parsed.GetValue(_half))
            recipe = recipe.WithDtype("float16");
        bool isDryRun = parsed.GetValue(_dryRun);
        if (parsed.GetValue(_writeYaml) is { } file)
            Write(file, recipe.ToYaml());
        if (terminal.Json && (isDryRun || parsed.GetValue(_printYaml)))
            terminal.WriteJson(new JsonObject { ["event"] = "recipe", ["recipe"] = recipe.ToYaml() });
        else if (parsed.GetValue(_printYaml))
            terminal.Out.Write(recipe.ToYaml());
        return isDryRun ? null : recipe;
    }

    // The same command may run again, to go on with its merge; anything else that is there is someone's work.
    private static void Write(string file, string yaml)
    {
        if (Path.Exists(file) && !(File.Exists(file) && File.ReadAllText(file) == yaml))
            throw new MergeException(MergeError.Output, $"--write-yaml {file}: is there, and holds something else");
        File.WriteAllText(file, yaml);
    }
}
