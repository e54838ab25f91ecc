using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using FusionKernels.Cli.Commands;
using FusionKernels.Recipes;

namespace FusionKernels.Cli;

/// <summary>The tool: finds the command, runs it, turns a failure into one line on stderr and an exit code.</summary>
internal static class Program
{
    private static async Task<int> Main(string[] args)
    {
        var root = new RootCommand("Merge, inspect, compare and verify model checkpoints.")
        {
            new MergeCommand(),
            new MoeCommand(),
            new SmileCommand(),
            new LayerShuffleCommand(),
            new InspectCommand(),
            new DiffCommand(),
            new SvdCommand(),
            new ExtractLoraCommand(),
            new SumLoraCommand(),
            new VerifyCommand(),
            new MethodsCommand(),
            new DevicesCommand(),
            new DemoCommand(),
            ToolCommand.Json,
            ToolCommand.Quiet,
            ToolCommand.Debug,
        };
        root.SetAction(_ => root.Parse("--help").Invoke());

        // A path may begin with '@', so there are no response files.
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is ParseErrorAction)
            return Fail(ExitCodes.Usage, DescribeUsageError(parsed));

        using var interrupt = new Interrupt();
        try
        {
            var invocation = new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            };
            return await parsed.InvokeAsync(invocation, interrupt.Token);
        }
        catch (OperationCanceledException) when (interrupt.ExitCode != 0)
        {
            bool resumes = parsed.CommandResult.Command is RecipeCommand or AdapterCommand;
            string hint = resumes ? "; the same command goes on from what is finished" : "";
            return Fail(interrupt.ExitCode, "interrupted" + hint);
        }
        catch (Exception e)
        {
            int exitCode = ExitCodes.Of(e);
            bool isBug = exitCode == ExitCodes.Bug;
            string hint = e is MergeException { Kind: MergeError.Changed } ? " (--restart)" : "";
            Fail(exitCode, isBug ? $"internal error, please report it: {e.GetType().Name}: {e.Message}" : e.Message + hint);
            if (parsed.GetValue(ToolCommand.Debug))
                Console.Error.WriteLine(e);
            return exitCode;
        }
    }

    private static int Fail(int exitCode, string message)
    {
        Console.Error.WriteLine("fusion: " + Terminal.Printable(message));
        return exitCode;
    }

    private static string DescribeUsageError(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        bool isRoot = command is RootCommand;

        // What looks like an option and is none was a word too many, or was taken for an argument.
        var taken = parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).Select(t => t.Value);
        string? option = parsed.UnmatchedTokens.Concat(taken).FirstOrDefault(word => word.StartsWith('-'));
        string message = (option, parsed.UnmatchedTokens) switch
        {
            (not null, _) => $"unknown option '{option}'" + Suggest(option, command.Options.Concat(ToolCommand.Common)),
            (_, []) => Describe(parsed.Errors[0]),
            (_, [var word, ..]) when isRoot => $"unknown command '{word}'" + Suggest(word, command.Subcommands),
            (_, [var word, ..]) => $"unexpected argument '{word}'",
        };
        return $"{message}; see: fusion {(isRoot ? "" : command.Name + " ")}--help";

        static string Suggest(string word, IEnumerable<Symbol> symbols) =>
            Spelling.Suggest(word, symbols.Select(symbol => symbol.Name));

        static string Describe(ParseError error)
        {
            string message = error.Message.TrimEnd('.');
            string name = ToolCommand.NameOf(error.SymbolResult);
            return message.Contains(name, StringComparison.Ordinal) ? message : $"{name}: {message}";
        }
    }
}
