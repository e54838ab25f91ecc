using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>What all tensors of a plan share in a run.</summary>
internal sealed class MergeContext
{
    private long _bytesRead;

    /// <summary>The plan.</summary>
    public required MergePlan Plan { get; init; }

    /// <summary>The contexts of the plan's steps.</summary>
    public IReadOnlyDictionary<MergePlan, MergeContext> Steps { get; init; } =
        new Dictionary<MergePlan, MergeContext>();

    /// <summary>Elements per chunk; a multiple of <see cref="Kernels.Reduction.Block"/>.</summary>
    public required int ChunkElements { get; init; }

    /// <summary>Where random masks come from.</summary>
    public required IRandomMasks RandomMasks { get; init; }

    /// <summary>Ends the run.</summary>
    public required CancellationToken Cancellation { get; init; }

    /// <summary>What the method's survey found.</summary>
    public object? ModelState { get; set; }

    /// <summary>Input bytes read so far, those of steps included.</summary>
    public long BytesRead =>
        Interlocked.Read(ref _bytesRead) + Steps.Values.Sum(s => Interlocked.Read(ref s._bytesRead));

    /// <summary>Counts input bytes.</summary>
    public void CountRead(long bytes) => Interlocked.Add(ref _bytesRead, bytes);
}
