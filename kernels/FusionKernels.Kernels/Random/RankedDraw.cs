namespace FusionKernels.Kernels;

/// <summary>
/// The draw of DELLA (Deep et al. 2024): element of rank r in a row of c, 0 for the smallest magnitude, is kept with
/// probability <c>p_r = (density - epsilon) + r / (c - 1) * 2 epsilon</c>. Equal magnitudes rank by index, NaN is
/// largest, the only element of a row has the largest rank. It is kept iff (word &gt;&gt; 8) * 2^-24 &lt; p_r.
/// </summary>
/// <param name="Stream">The stream of words.</param>
/// <param name="Density">Mean probability that an element is kept.</param>
/// <param name="Epsilon">How far the probabilities of the smallest and the largest magnitude are from it.</param>
/// <param name="Columns">Elements of a row.</param>
/// <param name="Stride">
/// Distance of a row's elements: rows along axis 1 of a tensor [a, b, c, d] have b columns of stride c * d. A group of
/// Columns * Stride elements holds Stride rows.
/// </param>
public readonly record struct RankedDraw(Philox Stream, double Density, double Epsilon, int Columns, int Stride = 1)
{
    /// <summary>
    /// Elements of a group of rows that lie among each other; whole groups can be drawn by themselves.
    /// </summary>
    public long Group => (long)Columns * Stride;

    /// <summary>An element of this rank is kept iff (word &gt;&gt; 8) is below the result, 0 to 2^24.</summary>
    public uint KeepBelow(int rank)
    {
        double share = Columns == 1 ? 1 : (double)rank / (Columns - 1);
        return (uint)Math.Ceiling((Density - Epsilon + (share * 2 * Epsilon)) * (1 << 24));
    }

    internal void Check(in Chunk chunk, int bytes)
    {
        chunk.CheckMask(bytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Columns);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Stride);
        ArgumentOutOfRangeException.ThrowIfNegative(Density - Math.Abs(Epsilon));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Density + Math.Abs(Epsilon), 1);
        ArgumentOutOfRangeException.ThrowIfNotEqual(chunk.First % Group, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(chunk.Length % Group, 0);
    }
}
