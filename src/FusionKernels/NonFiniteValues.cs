namespace FusionKernels;

/// <summary>What a merge does when an output tensor holds NaN or infinities.</summary>
public enum NonFiniteValues
{
    /// <summary>It writes them, as IEEE arithmetic gives them, and reports them (<see cref="MergeReport.NonFinite"/>).</summary>
    Report,

    /// <summary>It ends with an error that names the tensor; the shard gets no final name.</summary>
    Fail,
}
