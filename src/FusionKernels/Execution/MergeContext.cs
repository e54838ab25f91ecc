using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>What all tensors of a run share.</summary>
internal sealed class MergeContext
{
    private long _bytesRead;

    /// <summary>The plan.</summary>
    public required MergePlan Plan { get; init; }

    /// <summary>Elements per chunk; a multiple of <see cref="Kernels.Reduction.Block"/>.</summary>
    public required int ChunkElements { get; init; }

    /// <summary>Where random masks come from.</summary>
    public required IRandomMasks RandomMasks { get; init; }

    /// <summary>Ends the run.</summary>
    public required CancellationToken Cancellation { get; init; }

    /// <summary>What the method's survey found.</summary>
    public object? ModelState { get; set; }

    /// <summary>Input bytes read so far.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>Counts input bytes.</summary>
    public void CountRead(long bytes) => Interlocked.Add(ref _bytesRead, bytes);
}
