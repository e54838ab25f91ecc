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
    /// Runs something on the device; where that fails, once more on the CPU, which goes on from there if the device is
    /// lost.
    /// </summary>
    /// <param name="what">What it computes, for people.</param>
    /// <param name="action">Computes it.</param>
    public T OnDevice<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (DeviceException e)
        {
            if (!FallBack(new DeviceFailure(e.Message, what, e.IsOutOfMemory)))
                throw;
            T result = action();
            Return();
            return result;
        }
    }

    /// <summary>Leaves a device that failed for the CPU; false where that has been done.</summary>
    public abstract bool FallBack(DeviceFailure failure);

    /// <summary>Goes back to a device that only ran out of memory.</summary>
    public abstract void Return();

    /// <inheritdoc/>
    public abstract IKernelBackend Backend { get; }

    /// <inheritdoc/>
    void IStreamTeam.Run(int items, Action<IKernelStream, int> body) =>
        Run(items, (worker, item) => body(worker.Stream, item));
}
