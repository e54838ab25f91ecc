using System.CommandLine;
using System.Globalization;

namespace FusionKernels.Cli.Commands;

/// <summary>A command of the tool. Failures leave it as exceptions; what it wrote to stdout is flushed before it ends.</summary>
internal abstract class ToolCommand : Command
{
    /// <summary>Creates the command.</summary>
    protected ToolCommand(string name, string description)
        : base(name, description)
    {
        SetAction(async (arguments, cancellation) =>
        {
            var terminal = new Terminal(arguments.GetValue(Json), arguments.GetValue(Quiet));
            int exitCode = await RunAsync(arguments, terminal, cancellation);
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

    /// <summary>Runs the command and returns its exit code.</summary>
    protected abstract Task<int> RunAsync(ParseResult arguments, Terminal terminal, CancellationToken cancellation);

    /// <summary>An option that takes a whole number from 1 on.</summary>
    protected static Option<int> CountOption(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            if (!int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count < 1)
                result.AddError($"{name}: '{result.Tokens[0].Value}' is no whole number from 1 on");
            return count;
        },
    };

    /// <summary>An option that takes a size, such as 1GiB.</summary>
    protected static Option<long> SizeOption(string name, string description, params string[] aliases) => new(name, aliases)
    {
        Description = description,
        HelpName = "SIZE",
        CustomParser = result =>
        {
            if (!ByteSize.TryParse(result.Tokens[0].Value, out long bytes))
                result.AddError($"{name}: '{result.Tokens[0].Value}' is no size; write bytes, or 500MB, 5GB (decimal), 512MiB, 1GiB (binary)");
            return bytes;
        },
    };
}
