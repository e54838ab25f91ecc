namespace FusionKernels.Kernels;

/// <summary>A stream of a backend for each thread of a team of its own.</summary>
public sealed class StreamTeam : IStreamTeam, IDisposable
{
    private readonly ThreadTeam _threads;
    private readonly IKernelStream[] _streams;

    /// <summary>Opens the streams and starts the threads.</summary>
    /// <param name="backend">Whose streams; must outlive the team.</param>
    /// <param name="count">Streams, one of which runs on the calling thread; at least 1.</param>
    public StreamTeam(IKernelBackend backend, int count)
    {
        Backend = backend;
        _threads = new ThreadTeam(count, "kernel stream");
        _streams = [.. Enumerable.Range(0, count).Select(_ => backend.OpenStream())];
    }

    /// <inheritdoc/>
    public IKernelBackend Backend { get; }

    /// <inheritdoc/>
    public int Count => _streams.Length;

    /// <inheritdoc/>
    public void Run(int items, Action<IKernelStream, int> body) =>
        _threads.Run(items, (member, item) => body(_streams[member], item));

    /// <inheritdoc/>
    public void Dispose()
    {
        _threads.Dispose();
        foreach (IKernelStream stream in _streams)
            stream.Dispose();
    }
}
