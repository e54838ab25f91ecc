using System.Buffers.Text;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Watches a process's anonymous memory (RssAnon of Linux: heaps and stacks, not mapped files) from a thread of its
/// own, every 5 ms, and keeps the peak.
/// </summary>
internal sealed class AnonymousMemory : IDisposable
{
    private const int PeriodMilliseconds = 5;
    private readonly ManualResetEventSlim _stop = new();
    private readonly Thread _thread;
    private readonly string _status;
    private long _peakKib;

    /// <summary>Starts watching this process, or another one.</summary>
    public AnonymousMemory(int? process = null)
    {
        _status = $"/proc/{process?.ToString(CultureInfo.InvariantCulture) ?? "self"}/status";
        _thread = new Thread(Watch) { IsBackground = true, Name = "anonymous memory" };
        _thread.Start();
    }

    /// <summary>The largest value seen; complete after <see cref="Dispose"/>.</summary>
    public double PeakMib => _peakKib / 1024.0;

    /// <summary>The present value.</summary>
    public static double NowMib()
    {
        using var status = File.OpenHandle("/proc/self/status");
        return ReadKib(status) / 1024.0;
    }

    /// <summary>Stops watching, after a last look.</summary>
    public void Dispose()
    {
        _stop.Set();
        _thread.Join();
        _stop.Dispose();
    }

    private void Watch()
    {
        try
        {
            using var status = File.OpenHandle(_status);
            do
                _peakKib = Math.Max(_peakKib, ReadKib(status));
            while (!_stop.Wait(PeriodMilliseconds));
            _peakKib = Math.Max(_peakKib, ReadKib(status));
        }
        catch (IOException)
        {
            // The other process has ended.
        }
    }

    // Every read from the start makes the kernel write the text anew: "RssAnon:      1234 kB".
    private static long ReadKib(SafeFileHandle status)
    {
        Span<byte> text = stackalloc byte[4096];
        text = text[..RandomAccess.Read(status, text, 0)];
        int at = text.IndexOf("RssAnon:"u8);
        if (at < 0)
            return 0; // a process that is ending has no memory left
        var field = text[(at + 8)..].TrimStart(" \t"u8);
        return Utf8Parser.TryParse(field, out long kib, out _)
            ? kib
            : throw new PlatformNotSupportedException("no RssAnon in /proc/self/status");
    }
}
