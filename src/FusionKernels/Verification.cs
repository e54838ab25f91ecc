namespace FusionKernels;

/// <summary>What a verification found.</summary>
/// <param name="Tensors">Tensors whose bytes were read.</param>
/// <param name="Shards">Shards read.</param>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Hashed">Whether recorded checksums were there to compare with.</param>
/// <param name="NonFinite">Tensors that hold NaN or infinities, with their count of such elements.</param>
/// <param name="Problems">One line per problem: file, tensor, rule. Empty when all is well.</param>
public sealed record VerificationReport(
    int Tensors,
    int Shards,
    long Bytes,
    bool Hashed,
    IReadOnlyList<(string Tensor, long Count)> NonFinite,
    IReadOnlyList<string> Problems);

/// <summary>Checks a written checkpoint.</summary>
public static class Verification
{
    /// <summary>
    /// Reads a checkpoint again: every header and the index by the rules of the format, and every byte against the checksums that
    /// the merge recorded in <c>fusionkernels.json</c>, where there is one.
    /// </summary>
    /// <param name="path">Checkpoint folder, or a single safetensors file.</param>
    /// <param name="cancellation">Stops between tensors.</param>
    public static Task<VerificationReport> RunAsync(string path, CancellationToken cancellation = default) => throw new NotImplementedException();
}
