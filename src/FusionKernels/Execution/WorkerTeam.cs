using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>A worker for each thread of a team: they share the items of one pass at a time.</summary>
internal sealed class WorkerTeam : Workers, IDisposable
{
    private readonly ThreadTeam _threads;
    private readonly Worker[] _workers;
    private readonly CancellationToken _cancellation;

    public WorkerTeam(IKernelBackend backend, int threads, CancellationToken cancellation)
    {
        _cancellation = cancellation;
        _workers = [.. Enumerable.Range(0, threads).Select(i => new Worker(backend, i, cancellation))];
        _threads = new ThreadTeam(threads, "fusion worker");
    }

    /// <inheritdoc/>
    public override IKernelBackend Backend => _workers[0].Backend;

    /// <inheritdoc/>
    public override int Count => _workers.Length;

    /// <inheritdoc/>
    public override void Run(int items, Action<Worker, int> body) => _threads.Run(items, (member, item) =>
    {
        _cancellation.ThrowIfCancellationRequested();
        body(_workers[member], item);
    });

    /// <summary>When workers left the device, and why.</summary>
    public IEnumerable<DeviceFailure> Failures => _workers.SelectMany(w => w.Failures);

    /// <inheritdoc/>
    public override bool FallBack(DeviceFailure failure)
    {
        bool left = false;
        foreach (var worker in _workers)
            left |= worker.FallBack(failure);
        return left;
    }

    /// <inheritdoc/>
    public override void Return()
    {
        foreach (var worker in _workers)
            worker.Return();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _threads.Dispose();
        foreach (var worker in _workers)
            worker.Dispose();
    }
}
