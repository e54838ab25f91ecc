using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace FusionKernels.Cli.Commands;

/// <summary>A command of the tool. Failures leave it as exceptions; its stdout is flushed before it ends.</summary>
internal abstract class ToolCommand : Command
{
    /// <summary>Creates the command.</summary>
    protected ToolCommand(string name, string description)
        : base(name, description)
    {
        Validators.Add(RefuseEmptyWords);
        SetAction(async (parsed, cancellation) =>
        {
            var terminal = new Terminal(parsed.GetValue(Json), parsed.GetValue(Quiet));
            int exitCode = await RunAsync(parsed, terminal, cancellation);
            await terminal.Out.FlushAsync(CancellationToken.None);
            return exitCode;
        });
    }

    /// <summary>Output for machines.</summary>
    public static Option<bool> Json { get; } =
        new("--json") { Description = "Write JSON to stdout and nothing else", Recursive = true };

    /// <summary>No progress.</summary>
    public static Option<bool> Quiet { get; } =
        new("--quiet", "-q") { Description = "Do not report progress", Recursive = true };

    /// <summary>Stack traces.</summary>
    public static Option<bool> Debug { get; } =
        new("--debug") { Description = "Follow an error with its stack trace", Recursive = true };

    /// <summary>The options that every command has.</summary>
    public static IEnumerable<Option> Common { get; } = [Json, Quiet, Debug];

    // No path, name or number is empty; the value of a variable that a script has not set is.
    private static void RefuseEmptyWords(CommandResult result)
    {
        foreach (var child in result.Children.Where(child => child.Tokens.Any(token => token.Value.Length == 0)))
            result.AddError($"{NameOf(child)} is empty");
    }

    /// <summary>What a part of a command line is called; empty for a command.</summary>
    public static string NameOf(SymbolResult? part) => part switch
    {
        OptionResult option => option.Option.Name,
        ArgumentResult argument => argument.Argument.Name,
        _ => "",
    };

    /// <summary>Runs the command and returns its exit code.</summary>
    protected abstract Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation);

    /// <summary>An option that takes a whole number from 1 on.</summary>
    protected static Option<int> CountOption(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count < 1)
                result.AddError($"{name}: '{text}' is no whole number from 1 on");
            return count;
        },
    };

    /// <summary>The option for the seed of all that is random.</summary>
    protected static Option<ulong> SeedOption() => new("--seed", "--random-seed")
    {
        Description = "Seed of all that is random [default: 0]",
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong seed))
                result.AddError($"--seed: '{text}' is no whole number from 0 to 2^64 - 1");
            return seed;
        },
    };

    /// <summary>The option for the number of threads.</summary>
    protected static Option<int> ThreadsOption() =>
        CountOption("--threads", "Worker threads [default: one per processor]");

    /// <summary>The option for the folder of relative paths.</summary>
    protected static Option<string> ModelRootOption() => new("--model-root")
    {
        Description = "Folder that relative model paths start from [default: the current one]",
        HelpName = "DIR",
    };

    /// <summary>The option for how input files are read.</summary>
    protected static Option<string> AccessOption()
    {
        var option = new Option<string>("--access")
        {
            Description = "Read input files or map them; auto maps what is local",
            DefaultValueFactory = _ => "read",
        };
        option.AcceptOnlyFromAmong("auto", "map", "read");
        return option;
    }

    /// <summary>The option for beginning anew.</summary>
    protected static Option<bool> RestartOption() => new("--restart")
    {
        Description = "Replace what an earlier run left in OUT",
    };

    /// <summary>Reads a number of an option's value.</summary>
    /// <param name="result">Receives an error where it is none.</param>
    /// <param name="text">The word.</param>
    /// <param name="allowed">Which numbers are.</param>
    /// <param name="wanted">What they are called.</param>
    protected static double ReadNumber(ArgumentResult result, string text, Func<double, bool> allowed, string wanted)
    {
        bool isNumber = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number);
        if (!isNumber || !double.IsFinite(number) || !allowed(number))
            result.AddError($"--{result.Argument.Name.TrimStart('-')}: '{text}' is no {wanted}");
        return number;
    }

    /// <summary>An option that takes a size, such as 1GiB.</summary>
    protected static Option<long> SizeOption(string name, string description, params string[] aliases) => new(
        name, aliases)
    {
        Description = description,
        HelpName = "SIZE",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!ByteSize.TryParse(text, out long bytes))
                result.AddError($"{name}: '{text}' is no size; write bytes, or like 5GB (decimal) or 1GiB (binary)");
            return bytes;
        },
    };
}
