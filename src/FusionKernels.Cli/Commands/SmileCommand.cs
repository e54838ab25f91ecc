using System.CommandLine;
using System.Globalization;
using FusionKernels.Recipes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion smile RECIPE OUT</c>: upscales a model by SMILE, with the recipe's ranks or others.</summary>
internal sealed class SmileCommand : RecipeCommand
{
    private const string Method = "smile";

    private readonly Argument<string> _recipe;

    private readonly Option<double?>[] _numbers =
    [
        Number("--gate-k", "The router's rows per expert, instead of the recipe's"),
        Number("--k", "An expert's rank, instead of the recipe's; -1: its whole difference from the base"),
        Number("--energy", "Least share of a difference's energy in its expert, which then chooses a rank up to k"),
        Number("--top-k", "Experts per token, instead of the recipe's"),
    ];

    private readonly Option<string?> _layout = new("--layout")
    {
        Description = "Names of FusionBench's language models or of its modules, instead of the recipe's",
    };

    public SmileCommand()
        : this(new Argument<string>("RECIPE") { Description = "The recipe, with 'merge_method: smile'" })
    {
    }

    private SmileCommand(Argument<string> recipe)
        : base(Method, "Give a model's layers an expert for each fine-tuned model, routed without training", recipe)
    {
        _recipe = recipe;
        _layout.AcceptOnlyFromAmong("auto", "causal_lm", "module");
        foreach (var number in _numbers)
            Add(number);
        Add(_layout);
    }

    /// <inheritdoc/>
    protected override Recipe Read(ParseResult parsed, MergeOptions options, Terminal terminal)
    {
        string path = parsed.GetRequiredValue(_recipe);
        var recipe = RecipeReader.Load(path, options.Lenient);
        if (recipe.MergeMethod != Method)
        {
            throw new MergeException(
                MergeError.Recipe,
                $"{path}: is a recipe of '{recipe.MergeMethod}', not of '{Method}': run it with 'fusion merge'");
        }

        foreach (var number in _numbers)
        {
            if (parsed.GetValue(number) is { } value)
                Set(number.Name[2..].Replace('-', '_'), value);
        }

        if (parsed.GetValue(_layout) is { } layout)
            Set("layout", Setting.Choice(layout));
        return recipe;

        void Set(string parameter, Setting value) =>
            recipe = recipe.Change(r => r.MergeMethod == Method ? r.With(parameter, value) : r);
    }

    private static Option<double?> Number(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            bool isNumber = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number);
            if (isNumber && double.IsFinite(number))
                return number;
            result.AddError($"{name}: '{text}' is no number");
            return null;
        },
    };
}
