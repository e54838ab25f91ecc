namespace FusionKernels.Kernels;

/// <summary>How <see cref="RandomizedSvd"/> looks for the leading singular vectors.</summary>
public sealed record SketchOptions
{
    /// <summary>Columns of the sketch beyond the rank; 16 by default, 8 and more are usual.</summary>
    public int Oversampling { get; init; } = 16;

    /// <summary>
    /// Times that A A^T is applied to the sketch; 2 by default. The spectra of fine-tuned deltas decay slowly: with
    /// fewer the energy is all but the best, single vectors are not.
    /// </summary>
    public int PowerIterations { get; init; } = 2;

    /// <summary>
    /// Where the normals of the n x width sketch come from: row after row, element i is element i of the stream.
    /// </summary>
    public Philox Random { get; init; }

    internal static SketchOptions Default { get; } = new();

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Oversampling);
        ArgumentOutOfRangeException.ThrowIfNegative(PowerIterations);
    }
}
