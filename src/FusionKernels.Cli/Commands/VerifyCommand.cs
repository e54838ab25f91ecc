using System.CommandLine;
using System.Text.Json.Nodes;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion verify OUT</c>: reads a checkpoint again, against the checksums of its merge.</summary>
internal sealed class VerifyCommand : ToolCommand
{
    private readonly Argument<string> _path = new("OUT") { Description = "A checkpoint folder, or a safetensors file" };

    public VerifyCommand()
        : base("verify", "Check every byte of a checkpoint")
    {
        Add(_path);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        string path = parsed.GetRequiredValue(_path);
        var report = await Verification.RunAsync(path, cancellation);
        if (terminal.Json)
            terminal.WriteJson(Document(path, report));
        else
            WriteText(path, report, terminal);
        return report.Problems.Count == 0 ? ExitCodes.Ok : ExitCodes.BadData;
    }

    private static void WriteText(string path, VerificationReport report, Terminal terminal)
    {
        foreach (string problem in report.Problems)
            terminal.Out.WriteLine(Terminal.Printable(problem));
        NonFiniteTensors.Warn(report.NonFinite);
        string verdict = (report.Problems.Count, report.Hashed) switch
        {
            (0, true) => "all bytes are as they were written",
            (0, false) => "the format is valid; no merge recorded checksums, so the bytes were not compared",
            var (count, _) => Terminal.Count(count, "problem"),
        };
        terminal.Out.WriteLine(
            $"{path}: {verdict} ({Terminal.Count(report.Tensors, "tensor")} in "
            + $"{Terminal.Count(report.Shards, "shard")}, {ByteSize.Format(report.Bytes)} read)");
    }

    private static JsonObject Document(string path, VerificationReport report) => new()
    {
        ["path"] = path,
        ["ok"] = report.Problems.Count == 0,
        ["hashed"] = report.Hashed,
        ["tensors"] = report.Tensors,
        ["shards"] = report.Shards,
        ["bytes"] = report.Bytes,
        ["problems"] = new JsonArray([.. report.Problems.Select(problem => JsonValue.Create(problem))]),
        ["non_finite"] = NonFiniteTensors.Document(report.NonFinite),
    };
}
