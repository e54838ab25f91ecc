namespace FusionKernels.Kernels;

/// <summary>Kernel streams that share the parts of one computation: a team in parallel, or one stream alone.</summary>
public interface IStreamTeam
{
    /// <summary>Whose streams they are.</summary>
    IKernelBackend Backend { get; }

    /// <summary>How many run at once.</summary>
    int Count { get; }

    /// <summary>
    /// Runs <paramref name="body"/>(stream, item) for every item in [0, items), in any order, and returns when all are
    /// done. The first exception stops the handing out of items and is rethrown.
    /// </summary>
    void Run(int items, Action<IKernelStream, int> body);
}
