using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>Who runs the items of a pass: a team in parallel, or one worker alone.</summary>
internal abstract class Workers : IStreamTeam
{
    /// <summary>How many run at once; <see cref="Worker.Index"/> is below it.</summary>
    public abstract int Count { get; }

    /// <summary>
    /// Runs <paramref name="body"/> for every item in [0, items), in any order, and returns when all are done. The
    /// first exception stops the handing out of items and is rethrown.
    /// </summary>
    public abstract void Run(int items, Action<Worker, int> body);

    /// <summary>
    /// Runs something on the device; where that fails, once more on the CPU, which goes on from there.
    /// </summary>
    public T OnDevice<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (DeviceException e) when (FallBack(e.Message))
        {
            return action();
        }
    }

    /// <summary>Leaves a device that failed for the CPU; false where that has been done.</summary>
    public abstract bool FallBack(string reason);

    /// <inheritdoc/>
    public abstract IKernelBackend Backend { get; }

    /// <inheritdoc/>
    void IStreamTeam.Run(int items, Action<IKernelStream, int> body) =>
        Run(items, (worker, item) => body(worker.Stream, item));
}
