using System.Runtime.ExceptionServices;

namespace FusionKernels.Kernels;

/// <summary>
/// A fixed team of threads that shares the items of one pass at a time. The calling thread is member 0.
/// </summary>
public sealed class ThreadTeam : IDisposable
{
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _start = new(0);
    private readonly CountdownEvent _finished = new(1);
    private Action<int, int> _body = (_, _) => { };
    private int _items, _next;
    private Exception? _failure;
    private volatile bool _closing;

    /// <summary>Starts the threads.</summary>
    /// <param name="count">Members of the team, the calling thread included; at least 1.</param>
    /// <param name="name">What the threads are called, besides their number.</param>
    public ThreadTeam(int count, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        _threads = new Thread[count - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int member = i + 1;
            _threads[i] = new Thread(() => Serve(member)) { IsBackground = true, Name = $"{name} {member}" };
            _threads[i].Start();
        }
    }

    /// <summary>
    /// How many threads work where so many are asked for: 0 is one per processor. More than four per processor, or 64,
    /// gain nothing and only cost memory, so there are no more; what is computed does not depend on it.
    /// </summary>
    /// <param name="wanted">The number that is asked for, or 0.</param>
    public static int Size(int wanted)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(wanted);
        int processors = Environment.ProcessorCount;
        return wanted == 0 ? processors : Math.Min(wanted, Math.Max(64, 4 * processors));
    }

    /// <summary>Members of the team.</summary>
    public int Count => _threads.Length + 1;

    /// <summary>
    /// Runs <paramref name="body"/>(member, item) for every item in [0, items), in any order, and returns when all are
    /// done. The first exception stops the handing out of items and is rethrown. One pass at a time.
    /// </summary>
    public void Run(int items, Action<int, int> body)
    {
        (_items, _next, _failure, _body) = (items, 0, null, body);
        int others = Math.Clamp(items - 1, 0, _threads.Length);
        if (others > 0)
        {
            _finished.Reset(others);
            _start.Release(others);
        }

        Take(0);
        if (others > 0)
            _finished.Wait();
        if (_failure is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _closing = true;
        _start.Release(Math.Max(1, _threads.Length));
        foreach (Thread thread in _threads)
            thread.Join();
        _start.Dispose();
        _finished.Dispose();
    }

    private void Serve(int member)
    {
        while (true)
        {
            _start.Wait();
            if (_closing)
                return;
            Take(member);
            _finished.Signal();
        }
    }

    private void Take(int member)
    {
        try
        {
            for (int item; (item = Interlocked.Increment(ref _next) - 1) < _items;)
                _body(member, item);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            Volatile.Write(ref _next, _items);
        }
    }
}
