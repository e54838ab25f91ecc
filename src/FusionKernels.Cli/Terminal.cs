using System.Text;
using System.Text.Json.Nodes;

namespace FusionKernels.Cli;

/// <summary>
/// Where a command writes: results on stdout, progress and errors on stderr. Escape sequences only where a terminal is,
/// and no bold text where NO_COLOR asks for none.
/// </summary>
internal sealed class Terminal
{
    private readonly bool _bold;

    /// <summary>A terminal over the process's own streams.</summary>
    public Terminal(bool json, bool quiet)
    {
        Json = json;
        Quiet = quiet;
        bool dumb = Environment.GetEnvironmentVariable("TERM") is null or "" or "dumb";
        bool plain = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        _bold = !Console.IsOutputRedirected && !dumb && !plain;
        Interactive = !Console.IsErrorRedirected && !dumb;
        Out = new StreamWriter(new StandardOutput(), new UTF8Encoding(false), 1 << 16);
    }

    /// <summary>Whether stdout is for a machine: JSON and nothing else.</summary>
    public bool Json { get; }

    /// <summary>Whether to keep silent about progress.</summary>
    public bool Quiet { get; }

    /// <summary>Whether stderr is a terminal that understands escape sequences.</summary>
    public bool Interactive { get; }

    /// <summary>Buffered stdout; flushed when the command ends.</summary>
    public StreamWriter Out { get; }

    /// <summary>Writes one JSON document on a line of its own.</summary>
    public void WriteJson(JsonNode document) => Out.WriteLine(document.ToJsonString());

    /// <summary>A warning: one line on stderr.</summary>
    public static void Warn(string message) => Console.Error.WriteLine("fusion: warning: " + Printable(message));

    /// <summary>"1 shard", "2 shards".</summary>
    public static string Count(long count, string noun) => $"{count} {noun}{(count == 1 ? "" : "s")}";

    /// <summary>The text in bold, where stdout shows that.</summary>
    public string Bold(string text) => _bold ? $"\e[1m{text}\e[0m" : text;

    /// <summary>
    /// The text on one line and harmless: control characters, which a file's tensor names may hold to fool a terminal,
    /// become spaces (line breaks, tabs) or question marks.
    /// </summary>
    public static string Printable(string text) => text.Any(char.IsControl)
        ? string.Concat(text.ReplaceLineEndings(" ").Select(c => c == '\t' ? ' ' : char.IsControl(c) ? '?' : c))
        : text;
}
