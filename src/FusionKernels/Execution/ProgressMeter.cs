using System.Diagnostics;
using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>Counts what a run has done and reports it at most ten times a second.</summary>
internal sealed class ProgressMeter
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private readonly IProgress<MergeProgress>? _listener;
    private readonly MergeContext _context;
    private readonly long _bytesTotal;
    private readonly int _tensorsTotal;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private long _bytesDone, _nextReport;
    private int _tensorsDone;
    private volatile string _shard = "", _tensor = "";

    public ProgressMeter(IProgress<MergeProgress>? listener, MergeContext context)
    {
        (_listener, _context) = (listener, context);
        _bytesTotal = context.Plan.Layout.TotalSize;
        _tensorsTotal = context.Plan.Tensors.Count;
    }

    /// <summary>Time since the start.</summary>
    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>A shard begins.</summary>
    public void Shard(string name) => _shard = name;

    /// <summary>A tensor begins.</summary>
    public void Tensor(string name) => _tensor = name;

    /// <summary>A tensor is finished.</summary>
    public void TensorDone() => Interlocked.Increment(ref _tensorsDone);

    /// <summary>Output bytes were computed, or found finished.</summary>
    public void Bytes(long count)
    {
        Interlocked.Add(ref _bytesDone, count);
        long now = _clock.ElapsedTicks, next = Interlocked.Read(ref _nextReport);
        if (_listener is not null && now >= next
            && Interlocked.CompareExchange(ref _nextReport, now + (long)(Interval.TotalSeconds * Stopwatch.Frequency), next) == next)
        {
            Report();
        }
    }

    /// <summary>Reports now.</summary>
    public void Report() => _listener?.Report(new MergeProgress(
        Interlocked.Read(ref _bytesDone), _bytesTotal, _tensorsDone, _tensorsTotal, _shard, _tensor, _context.BytesRead, _clock.Elapsed));
}
