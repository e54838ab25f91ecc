namespace FusionKernels.Execution;

/// <summary>
/// Something computed that is in memory while someone holds it: the first holder computes it, the last frees it.
/// </summary>
internal interface IHeld
{
    /// <summary>
    /// Computes it unless it is there, and keeps it until as many calls of <see cref="Release"/>. Another thread that
    /// wants it waits meanwhile; a thread waits only for what it computes from, so none waits for itself.
    /// </summary>
    /// <param name="context">The run's.</param>
    /// <param name="workers">Who computes.</param>
    void Hold(MergeContext context, Workers workers);

    /// <summary>Ends a <see cref="Hold"/>.</summary>
    void Release();
}
