using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace FusionKernels.Cli.Tests;

/// <summary>What a run of the tool left behind.</summary>
/// <param name="ExitCode">The exit code; 128 plus the number of the signal that ended it.</param>
/// <param name="Out">All of stdout.</param>
/// <param name="Error">All of stderr.</param>
internal sealed record ToolResult(int ExitCode, string Out, string Error)
{
    /// <summary>Stdout as one JSON document.</summary>
    public JsonElement Json => JsonDocument.Parse(Out).RootElement;

    /// <summary>Stdout's last line as JSON, after lines of progress.</summary>
    public JsonElement LastJson => JsonDocument.Parse(Out.TrimEnd().Split('\n')[^1]).RootElement;
}

/// <summary>Runs the built tool as a process of its own, as its users do.</summary>
internal static class Tool
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>The tool's program file.</summary>
    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "fusion.dll");

    /// <summary>The digits zoo, as the tool's build puts it next to the program.</summary>
    public static string Digits { get; } = Path.Combine(AppContext.BaseDirectory, "samples", "digits");

    /// <summary>A recipe of the digits zoo.</summary>
    public static string Recipe(string name) => Path.Combine(Digits, "recipes", name + ".yml");

    /// <summary>Runs the tool to its end.</summary>
    public static ToolResult Run(params string[] arguments) => Finish(Start(arguments));

    /// <summary>Starts the tool; its output is captured.</summary>
    public static Process Start(params string[] arguments) => StartUnder([], arguments);

    /// <summary>Starts the tool through another program, such as <c>env</c>, which must end by executing it.</summary>
    public static Process StartUnder(string[] launcher, params string[] arguments)
    {
        string[] command = [.. launcher, "dotnet", Program, .. arguments];
        return Process.Start(new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
    }

    /// <summary>Waits for the tool and collects what it wrote.</summary>
    public static ToolResult Finish(Process process)
    {
        using (process)
        {
            process.StandardInput.Close();
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(Limit))
            {
                process.Kill();
                Assert.Fail($"fusion did not end within {Limit.TotalSeconds} s");
            }

            return new ToolResult(process.ExitCode, output.Result, error.Result);
        }
    }

    /// <summary>Waits until a <c>merge --json</c> reports work on this shard or a later one.</summary>
    public static void WaitForShard(Process merge, int number)
    {
        while (merge.StandardOutput.ReadLine() is { } line)
        {
            var report = JsonDocument.Parse(line).RootElement;
            string shard = report.TryGetProperty("shard", out var name) ? name.GetString()! : "";
            if (shard.Length > 0 && int.Parse(shard.Split('-')[1], CultureInfo.InvariantCulture) >= number)
                return;
        }

        Assert.Fail($"the merge ended before it reported shard {number}: " + merge.StandardError.ReadToEnd());
    }

    /// <summary>Asserts a failure: exit code, empty stdout, exactly one line on stderr that says all words.</summary>
    public static void AssertFails(this ToolResult result, int exitCode, params string[] words)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Error);
            Assert.That(result.Out, Is.Empty);
            Assert.That(result.Error, Does.StartWith("fusion: ").And.EndsWith("\n"));
            Assert.That(result.Error.Count(c => c == '\n'), Is.EqualTo(1), result.Error);
            foreach (string word in words)
                Assert.That(result.Error, Does.Contain(word));
        }
    }

    /// <summary>Asserts success and returns the result.</summary>
    public static ToolResult Succeeds(this ToolResult result)
    {
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return result;
    }
}
