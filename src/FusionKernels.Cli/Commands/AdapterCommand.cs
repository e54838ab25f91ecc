using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using FusionKernels.Adapters;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Commands;

/// <summary>A command that writes an adapter of PEFT; it goes on where an earlier run was stopped.</summary>
internal abstract class AdapterCommand : ToolCommand
{
    private static readonly (string Name, Dtype Dtype)[] Dtypes =
        [("float32", Dtype.F32), ("float16", Dtype.F16), ("bfloat16", Dtype.BF16), ("float64", Dtype.F64)];

    private readonly Argument<string> _output = new("OUT")
    {
        Description = "Folder to write; a run that was stopped goes on there",
    };

    private readonly Option<int> _rank;

    private readonly Option<double?> _energy = new("--energy")
    {
        Description = "Share of each module's energy to keep, by the smallest rank that a sketch finds to do",
        HelpName = "SHARE",
        CustomParser = result =>
            ReadNumber(result, result.Tokens[0].Value, share => share is > 0 and <= 1, "share above 0, at most 1"),
    };

    private readonly Option<string> _dtype = new("--dtype")
    {
        Description = "What the tensors are stored as [default: as the inputs]",
    };

    private readonly Option<int> _threads = ThreadsOption();

    private readonly Option<string> _root = ModelRootOption(), _access = AccessOption();
    private readonly Option<bool> _restart = RestartOption();

    /// <summary>Creates the command; its own arguments stand before OUT.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">What it does.</param>
    /// <param name="defaultRank">What happens without --rank and --energy.</param>
    /// <param name="arguments">Its own arguments.</param>
    protected AdapterCommand(string name, string description, string defaultRank, params Argument[] arguments)
        : base(name, description)
    {
        _rank = CountOption("--rank", $"Most singular triplets of a module [default: {defaultRank}]");
        _rank.Aliases.Add("--max-rank");
        _dtype.AcceptOnlyFromAmong([.. Dtypes.Select(d => d.Name)]);
        foreach (var argument in arguments)
            Add(argument);
        Add(_output);
        foreach (var option in new Option[] { _rank, _energy, _dtype, _threads, _root, _access, _restart })
            Add(option);
    }

    /// <summary>Writes the adapter.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="output">The folder.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellation">Stops it.</param>
    protected abstract Task<AdapterReport> WriteAsync(
        ParseResult parsed, string output, IProgress<MergeProgress> progress, CancellationToken cancellation);

    /// <summary>The options of all such commands, as given on the command line.</summary>
    protected T Read<T>(ParseResult parsed, T options)
        where T : AdapterOptions => options with
        {
            Rank = parsed.GetValue(_rank) is > 0 and var rank ? rank : null,
            Energy = parsed.GetValue(_energy),
            Dtype = parsed.GetValue(_dtype) is { } name ? Dtypes.First(d => d.Name == name).Dtype : null,
            Threads = parsed.GetValue(_threads),
            Restart = parsed.GetValue(_restart),
            Root = parsed.GetValue(_root),
            Access = Enum.Parse<SourceAccess>(parsed.GetRequiredValue(_access), ignoreCase: true),
        };

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        AdapterReport report;
        using (var progress = new ProgressDisplay(terminal))
            report = await WriteAsync(parsed, parsed.GetRequiredValue(_output), progress, cancellation);
        foreach (string warning in report.Warnings)
            Terminal.Warn(warning);
        if (terminal.Json)
            terminal.WriteJson(Document(report));
        else
            terminal.Out.WriteLine(Sentence(report));
        return ExitCodes.Ok;
    }

    private static string Sentence(AdapterReport report)
    {
        var culture = CultureInfo.InvariantCulture;
        int[] ranks = [.. report.Modules.Select(m => m.Rank)];
        string rank = ranks.Length == 0 ? "" : ranks.Min() == ranks.Max() ? $" of rank {ranks[0]}"
            : string.Create(culture, $" of ranks {ranks.Min()} to {ranks.Max()}");
        double[] shares = [.. report.Modules.Select(m => m.CapturedEnergy).OfType<double>()];
        string energy = shares.Length == 0 ? ""
            : string.Create(culture, $", {shares.Average():P1} of their energy ({shares.Min():P1} at least)");
        string other = report.OtherTensors == 0 ? "" : $", {Terminal.Count(report.OtherTensors, "other tensor")}";
        string kept = report.Reused ? ", written by an earlier run" : "";
        return $"{report.Output}: {Terminal.Count(report.Modules.Count, "module")}{rank}{energy}{other}; "
            + string.Create(culture, $"{ByteSize.Format(report.Bytes)}{kept} in {report.Elapsed.TotalSeconds:0.00} s");
    }

    private static JsonObject Document(AdapterReport report) => new()
    {
        ["event"] = "done",
        ["output"] = report.Output,
        ["modules"] = new JsonArray([.. report.Modules.Select(module => new JsonObject
        {
            ["name"] = module.Name,
            ["rank"] = module.Rank,
            ["energy"] = module.CapturedEnergy,
        })]),
        ["other_tensors"] = report.OtherTensors,
        ["bytes"] = report.Bytes,
        ["reused"] = report.Reused,
        ["seconds"] = report.Elapsed.TotalSeconds,
        ["warnings"] = new JsonArray([.. report.Warnings.Select(warning => JsonValue.Create(warning))]),
    };
}
