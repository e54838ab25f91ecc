using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>How a merge runs. Nothing here but <see cref="Seed"/>, <see cref="Lenient"/> and <see cref="MaxShardBytes"/> changes an output byte.</summary>
public sealed record MergeOptions
{
    /// <summary>Where the kernels run; <c>null</c> is the CPU.</summary>
    public IKernelBackend? Backend { get; init; }

    /// <summary>Worker threads, of which there are at most <see cref="ThreadTeam.Size"/>; 0 is one per processor.</summary>
    public int Threads { get; init; }

    /// <summary>Bytes of working memory beyond the largest tensor; 1 GiB by default.</summary>
    public long MemoryBytes { get; init; } = 1L << 30;

    /// <summary>Largest output shard in bytes; 5 GB (10^9) as Hugging Face writes them.</summary>
    public long MaxShardBytes { get; init; } = 5_000_000_000;

    /// <summary>Seed of the random masks.</summary>
    public ulong Seed { get; init; }

    /// <summary>Warn about what mergekit ignores silently (unknown keys and parameters, skipped tensors) instead of refusing it.</summary>
    public bool Lenient { get; init; }

    /// <summary>Throw away what an earlier run left in the output (its own files only) and begin anew.</summary>
    public bool Restart { get; init; }

    /// <summary>What to do when an output tensor holds NaN or infinities.</summary>
    public NonFiniteValues NonFinite { get; init; }

    /// <summary>Folder that relative model paths of the recipe start from; <c>null</c> is the current folder.</summary>
    public string? ModelRoot { get; init; }

    /// <summary>
    /// How input files are read. Reading chunks into a worker's cache is at least as fast as mapping (a merge of one pass takes
    /// two thirds of the time, one of three passes the same), and a file that shrinks under way is an error instead of a crash.
    /// </summary>
    public SourceAccess Access { get; init; } = SourceAccess.Read;

    /// <summary>Elements per chunk, a multiple of <see cref="Reduction.Block"/>; 0 lets the executor choose within <see cref="MemoryBytes"/>.</summary>
    public int ChunkElements { get; init; }
}
