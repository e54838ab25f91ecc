using System.Runtime.ExceptionServices;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>A fixed team of threads that shares the items of one pass at a time. The calling thread is worker 0.</summary>
internal sealed class WorkerTeam : Workers, IDisposable
{
    private readonly Worker[] _workers;
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _start = new(0);
    private readonly CountdownEvent _finished = new(1);
    private readonly CancellationToken _cancellation;
    private Action<Worker, int> _body = (_, _) => { };
    private int _items, _next;
    private Exception? _failure;
    private volatile bool _closing;

    public WorkerTeam(IKernelBackend backend, int threads, CancellationToken cancellation)
    {
        _cancellation = cancellation;
        _workers = Enumerable.Range(0, threads).Select(i => new Worker(backend, i, cancellation)).ToArray();
        _threads = _workers.Skip(1).Select(w => new Thread(() => Serve(w)) { IsBackground = true, Name = $"fusion worker {w.Index}" }).ToArray();
        foreach (var thread in _threads)
            thread.Start();
    }

    /// <inheritdoc/>
    public override int Count => _workers.Length;

    /// <inheritdoc/>
    public override void Run(int items, Action<Worker, int> body)
    {
        if (items <= 1 || _threads.Length == 0)
        {
            _workers[0].Run(items, body);
            return;
        }

        (_items, _next, _failure, _body) = (items, 0, null, body);
        int helpers = Math.Min(_threads.Length, items - 1);
        _finished.Reset(helpers);
        _start.Release(helpers);
        Take(_workers[0]);
        _finished.Wait();
        if (_failure is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _closing = true;
        _start.Release(Math.Max(1, _threads.Length));
        foreach (var thread in _threads)
            thread.Join();
        foreach (var worker in _workers)
            worker.Dispose();
        _start.Dispose();
        _finished.Dispose();
    }

    private void Serve(Worker worker)
    {
        while (true)
        {
            _start.Wait();
            if (_closing)
                return;
            Take(worker);
            _finished.Signal();
        }
    }

    private void Take(Worker worker)
    {
        try
        {
            for (int item; (item = Interlocked.Increment(ref _next) - 1) < _items;)
            {
                _cancellation.ThrowIfCancellationRequested();
                _body(worker, item);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            Volatile.Write(ref _next, _items);
        }
    }
}
