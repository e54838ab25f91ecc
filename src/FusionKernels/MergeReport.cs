namespace FusionKernels;

/// <summary>What a finished merge did.</summary>
public sealed record MergeReport
{
    /// <summary>The output folder.</summary>
    public required string Output { get; init; }

    /// <summary>The merge method's name.</summary>
    public required string Method { get; init; }

    /// <summary>Output tensors.</summary>
    public required int Tensors { get; init; }

    /// <summary>Output shards.</summary>
    public required int Shards { get; init; }

    /// <summary>Shards that an earlier run had finished and this one kept.</summary>
    public required int ShardsReused { get; init; }

    /// <summary>Bytes of the output's shards.</summary>
    public required long BytesWritten { get; init; }

    /// <summary>Input bytes read, counting every pass.</summary>
    public required long BytesRead { get; init; }

    /// <summary>Time it took.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Name of the backend that ran the kernels.</summary>
    public required string Backend { get; init; }

    /// <summary>Output tensors that hold NaN or infinities, with their count of such elements, in order of shard and name.</summary>
    public required IReadOnlyList<(string Tensor, long Count)> NonFinite { get; init; }

    /// <summary>What a careful user should know: ignored keys, cut vocabularies, and the like.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
}
