using System.CommandLine;
using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Commands;

/// <summary>A command that writes a model as a recipe says; it goes on where an earlier run was stopped.</summary>
internal abstract class RecipeCommand : ToolCommand
{
    private static readonly MergeOptions Defaults = new();

    private readonly Argument<string> _output = new("OUT")
    {
        Description = "Folder to write; a run that was stopped goes on there",
    };

    private readonly Option<string> _device = new("--device")
    {
        Description = $"Where the kernels run: {Backends.Names}",
        HelpName = "DEVICE",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<long> _memory = SizeOption(
        "--memory", "Working memory, besides the mapped inputs [default: 1GiB]");

    private readonly Option<long> _deviceMemory = SizeOption(
        "--device-memory", "Memory of a device besides the CPU that may be used [default: 15/16 of it]");

    private readonly Option<int> _threads = ThreadsOption();

    private readonly Option<ulong> _seed = SeedOption();

    private readonly Option<long> _shardSize = SizeOption(
        "--max-shard-size", "Largest output shard [default: 5GB]", "--out-shard-size");

    private readonly Option<string> _modelRoot = ModelRootOption(), _access = AccessOption();

    private readonly Option<NonFiniteValues> _nan = new("--nan")
    {
        Description = "Output tensors that hold NaN or infinities: report them, or fail [default: report]",
    };

    private readonly Option<bool> _lenient = new("--lenient")
    {
        Description = "Warn about keys without effect instead of refusing them",
    };

    private readonly Option<bool> _restart = RestartOption();

    /// <summary>Creates the command; its own arguments stand before OUT.</summary>
    protected RecipeCommand(string name, string description, params Argument[] arguments)
        : base(name, description)
    {
        _nan.AcceptOnlyFromAmong("report", "fail");
        foreach (var argument in arguments)
            Add(argument);
        Add(_output);
        Option[] options =
            [_device, _memory, _deviceMemory, _threads, _seed, _shardSize, _modelRoot, _access, _nan, _lenient, _restart];
        foreach (var option in options)
            Add(option);
    }

    /// <summary>The recipe to run, or <c>null</c> when there is nothing more to do.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="options">How the recipe will be run.</param>
    /// <param name="terminal">Where results go.</param>
    protected abstract Recipe? Read(ParseResult parsed, MergeOptions options, Terminal terminal);

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        using var backend = Backends.Open(parsed.GetRequiredValue(_device), parsed.GetValue(_deviceMemory));
        long memory = parsed.GetValue(_memory), shardSize = parsed.GetValue(_shardSize);
        var options = new MergeOptions
        {
            Backend = backend,
            Threads = parsed.GetValue(_threads),
            MemoryBytes = memory > 0 ? memory : Defaults.MemoryBytes,
            MaxShardBytes = shardSize > 0 ? shardSize : Defaults.MaxShardBytes,
            Seed = parsed.GetValue(_seed),
            NonFinite = parsed.GetValue(_nan),
            Lenient = parsed.GetValue(_lenient),
            Restart = parsed.GetValue(_restart),
            ModelRoot = parsed.GetValue(_modelRoot),
            Access = Enum.Parse<SourceAccess>(parsed.GetRequiredValue(_access), ignoreCase: true),
        };
        if (Read(parsed, options, terminal) is not { } recipe)
            return ExitCodes.Ok;
        MergeReport report;
        using (var progress = new ProgressDisplay(terminal))
            report = await Merge.RunAsync(recipe, parsed.GetRequiredValue(_output), options, progress, cancellation);
        foreach (string warning in report.Warnings)
            Terminal.Warn(warning);
        if (!terminal.Json)
            NonFiniteTensors.Warn(report.NonFinite);
        if (terminal.Json)
            terminal.WriteJson(Document(report));
        else
            terminal.Out.WriteLine(Sentence(report));
        return ExitCodes.Ok;
    }

    private static string Sentence(MergeReport report)
    {
        double seconds = report.Elapsed.TotalSeconds;
        string kept = report.ShardsReused > 0 ? $", {report.ShardsReused} kept from an earlier run" : "";
        string read = ByteSize.Format(report.BytesRead), wrote = ByteSize.Format(report.BytesWritten);
        string speed = ByteSize.Format((report.BytesRead + report.BytesWritten) / seconds);
        return $"{report.Output}: {report.Method}, {report.Tensors} tensors in "
            + $"{Terminal.Count(report.Shards, "shard")}{kept}; read {read} and wrote {wrote} in {seconds:0.00} s "
            + $"({speed}/s) on {report.Backend}";
    }

    private static JsonObject Document(MergeReport report) => new()
    {
        ["event"] = "done",
        ["output"] = report.Output,
        ["method"] = report.Method,
        ["tensors"] = report.Tensors,
        ["shards"] = report.Shards,
        ["shards_reused"] = report.ShardsReused,
        ["bytes_written"] = report.BytesWritten,
        ["bytes_read"] = report.BytesRead,
        ["seconds"] = report.Elapsed.TotalSeconds,
        ["backend"] = report.Backend,
        ["non_finite"] = NonFiniteTensors.Document(report.NonFinite),
        ["warnings"] = new JsonArray([.. report.Warnings.Select(warning => JsonValue.Create(warning))]),
    };
}
