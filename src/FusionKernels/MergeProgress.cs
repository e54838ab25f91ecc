namespace FusionKernels;

/// <summary>How far a merge is. Reported at most ten times a second, and once at the end.</summary>
/// <param name="BytesDone">Output bytes computed or reused.</param>
/// <param name="BytesTotal">Output bytes in all.</param>
/// <param name="TensorsDone">Tensors finished.</param>
/// <param name="TensorsTotal">Tensors in all.</param>
/// <param name="Shard">File name of the shard being written.</param>
/// <param name="Tensor">Name of the tensor being merged.</param>
/// <param name="BytesRead">Input bytes read so far, counting every pass.</param>
/// <param name="Elapsed">Time since the start.</param>
public sealed record MergeProgress(
    long BytesDone,
    long BytesTotal,
    int TensorsDone,
    int TensorsTotal,
    string Shard,
    string Tensor,
    long BytesRead,
    TimeSpan Elapsed);
