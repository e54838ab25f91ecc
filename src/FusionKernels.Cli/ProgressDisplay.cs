using System.Text.Json.Nodes;

namespace FusionKernels.Cli;

/// <summary>
/// Shows how far a merge is: a line that is rewritten in place on a terminal; in a log a plain line every few seconds;
/// JSON lines for machines; nothing when quiet.
/// </summary>
internal sealed class ProgressDisplay(Terminal terminal) : IProgress<MergeProgress>, IDisposable
{
    private const int BarWidth = 24, UnknownWidth = 80;
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(5);
    private readonly Lock _lock = new();
    private MergeProgress? _first;
    private TimeSpan _nextLog = LogInterval;
    private bool _drawn;

    /// <inheritdoc/>
    public void Report(MergeProgress value)
    {
        if (terminal.Quiet)
            return;
        lock (_lock)
        {
            _first ??= value;
            if (terminal.Json)
            {
                terminal.WriteJson(Document(value));
                terminal.Out.Flush();
            }
            else if (terminal.Interactive)
            {
                string line = $"{Bar(value)} {Describe(value)}  {Terminal.Printable(value.Tensor)}";
                int width = Console.WindowWidth > 1 ? Console.WindowWidth : UnknownWidth;
                Console.Error.Write("\r\e[K" + line[..Math.Min(line.Length, width - 1)]);
                _drawn = true;
            }
            else if (value.Elapsed >= _nextLog)
            {
                _nextLog = value.Elapsed + LogInterval;
                Console.Error.WriteLine(Describe(value));
            }
        }
    }

    /// <summary>Takes the line on the terminal away.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_drawn)
                Console.Error.Write("\r\e[K");
        }
    }

    private static string Bar(MergeProgress progress)
    {
        int filled = (int)(BarWidth * Share(progress));
        return $"[{new string('#', filled)}{new string('.', BarWidth - filled)}]";
    }

    // Bytes per second counts input read; the time left follows the output, without what an earlier run had finished.
    private string Describe(MergeProgress progress)
    {
        double seconds = progress.Elapsed.TotalSeconds;
        double pace = (progress.BytesDone - _first!.BytesDone) / (progress.Elapsed - _first.Elapsed).TotalSeconds;
        double secondsLeft = Math.Min((progress.BytesTotal - progress.BytesDone) / pace, 86_399);
        string eta = pace > 0 ? $"  ETA {TimeSpan.FromSeconds(secondsLeft):h\\:mm\\:ss}" : "";
        string done = ByteSize.Format(progress.BytesDone), total = ByteSize.Format(progress.BytesTotal);
        string speed = ByteSize.Format(seconds > 0 ? progress.BytesRead / seconds : 0);
        return $"{Share(progress),4:0%}  {done} of {total}  reading {speed}/s{eta}";
    }

    private static double Share(MergeProgress progress) =>
        progress.BytesTotal == 0 ? 1 : (double)progress.BytesDone / progress.BytesTotal;

    private static JsonObject Document(MergeProgress progress) => new()
    {
        ["event"] = "progress",
        ["bytes_done"] = progress.BytesDone,
        ["bytes_total"] = progress.BytesTotal,
        ["tensors_done"] = progress.TensorsDone,
        ["tensors_total"] = progress.TensorsTotal,
        ["shard"] = progress.Shard,
        ["tensor"] = progress.Tensor,
        ["bytes_read"] = progress.BytesRead,
        ["seconds"] = progress.Elapsed.TotalSeconds,
    };
}
