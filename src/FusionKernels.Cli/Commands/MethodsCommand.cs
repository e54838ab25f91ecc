using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using FusionKernels.Methods;
using FusionKernels.Recipes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion methods [NAME]</c>: the merge methods and their parameters.</summary>
internal sealed class MethodsCommand : ToolCommand
{
    private readonly Argument<string?> _name = new("NAME")
    {
        Description = "A method to describe in full",
        Arity = ArgumentArity.ZeroOrOne,
    };

    public MethodsCommand()
        : base("methods", "Describe a merge method, or without a name list all")
    {
        Add(_name);
    }

    /// <inheritdoc/>
    protected override Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        if (parsed.GetValue(_name) is not { } name)
        {
            if (terminal.Json)
                terminal.WriteJson(new JsonArray([.. MergeMethods.All.Select(Document)]));
            else
                WriteAll(terminal);
            return Task.FromResult(ExitCodes.Ok);
        }

        if (!MergeMethods.TryGet(name, out var method))
        {
            string suggestion = Spelling.Suggest(name, MergeMethods.All.Select(m => m.Name));
            throw new MergeException(MergeError.Recipe, $"no merge method '{name}'{suggestion}");
        }

        if (terminal.Json)
            terminal.WriteJson(Document(method));
        else
            WriteOne(method, terminal);
        return Task.FromResult(ExitCodes.Ok);
    }

    private static void WriteAll(Terminal terminal)
    {
        const string Parameters = "parameters (* required, per model in brackets)";
        var table = new Table("method", "base", "models", Parameters, "what it does");
        foreach (var method in MergeMethods.All)
        {
            string parameters = string.Join(", ", method.Parameters.Select(p =>
            {
                string text = p.Required ? p.Name + "*" : DefaultOf(p) is { } value ? $"{p.Name}={value}" : p.Name;
                return p.Scope == ParameterScope.PerModel ? $"[{text}]" : text;
            }));
            table.Add(method.Name, BaseOf(method), ModelsOf(method), parameters, method.Summary);
        }

        table.WriteTo(terminal);
    }

    private static void WriteOne(MergeMethod method, Terminal terminal)
    {
        terminal.Out.WriteLine(terminal.Bold(method.Name) + ": " + method.Summary);
        terminal.Out.WriteLine($"base: {BaseOf(method)}; models besides the base: {ModelsOf(method)}");
        terminal.Out.WriteLine();
        var table = new Table("parameter", "scope", "default", "meaning");
        foreach (var p in method.Parameters)
        {
            string choice = p.Words is null ? "" : $" ({string.Join(", ", p.Words)})";
            table.Add(p.Name, ScopeOf(p), p.Required ? "(required)" : DefaultOf(p) ?? "(none)", p.Meaning + choice);
        }

        table.WriteTo(terminal);
    }

    private static string BaseOf(MergeMethod method) => method.Base switch
    {
        BaseUse.None => "none",
        BaseUse.Optional => "optional",
        BaseUse.AsModel => "as a model",
        BaseUse.Required => "required",
        _ => throw new InvalidOperationException($"unknown use of a base: {method.Base}"),
    };

    private static string ModelsOf(MergeMethod method) =>
        method.MaxModels == int.MaxValue ? $"{method.MinModels}+"
        : method.MaxModels == method.MinModels ? $"{method.MinModels}"
        : $"{method.MinModels}-{method.MaxModels}";

    private static string ScopeOf(Parameter parameter) =>
        parameter.Scope == ParameterScope.PerModel ? "model" : "merge";

    private static string? DefaultOf(Parameter parameter) =>
        parameter.Words is [var word, ..] ? word : parameter.Default?.ToString(CultureInfo.InvariantCulture);

    private static JsonObject Document(MergeMethod method) => new()
    {
        ["name"] = method.Name,
        ["summary"] = method.Summary,
        ["base"] = method.Base == BaseUse.None ? null : method.Base.ToString(),
        ["min_models"] = method.MinModels,
        ["max_models"] = method.MaxModels == int.MaxValue ? null : method.MaxModels,
        ["parameters"] = new JsonArray([.. method.Parameters.Select(p => new JsonObject
        {
            ["name"] = p.Name,
            ["scope"] = ScopeOf(p),
            ["required"] = p.Required,
            ["default"] = p.Words is [var word, ..] ? word : (JsonNode?)p.Default,
            ["words"] = p.Words is null ? null : new JsonArray([.. p.Words.Select(w => JsonValue.Create(w))]),
            ["meaning"] = p.Meaning,
        })]),
    };
}
