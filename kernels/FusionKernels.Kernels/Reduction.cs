namespace FusionKernels.Kernels;

/// <summary>
/// The fixed tree of every long reduction. A tensor is cut into blocks of <see cref="Block"/> elements, counted from
/// its first element. Within a block, lane j of 16 fp64 accumulators sums the elements congruent to j mod 16 in index
/// order (a product of two fp32 values is exact in fp64); the lanes are folded 16 -> 8 -> 4 -> 2 -> 1 by adding the
/// upper half to the lower. Block sums are folded pairwise by <see cref="Fold"/>. Hence the same bits on every width,
/// thread count and division into chunks.
/// </summary>
public static class Reduction
{
    /// <summary>Elements per block.</summary>
    public const int Block = 4096;

    /// <summary>fp64 accumulators per block.</summary>
    public const int Lanes = 16;

    /// <summary>
    /// Sums rows of partial sums pairwise: neighbours are added, an odd last row moves up unchanged, until one row is
    /// left.
    /// </summary>
    /// <param name="partials">Rows of <paramref name="width"/> doubles; overwritten. No rows give zeros.</param>
    /// <param name="width">Doubles per row.</param>
    /// <returns>The column sums.</returns>
    public static double[] Fold(Span<double> partials, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNotEqual(partials.Length % width, 0);
        for (int rows = partials.Length / width; rows > 1; rows = (rows + 1) / 2)
        {
            for (int row = 0; row < (rows + 1) / 2; row++)
            {
                for (int column = 0; column < width; column++)
                {
                    double left = partials[(2 * row * width) + column];
                    partials[(row * width) + column] = (2 * row) + 1 < rows
                        ? left + partials[(((2 * row) + 1) * width) + column]
                        : left;
                }
            }
        }

        return partials.IsEmpty ? new double[width] : partials[..width].ToArray();
    }

    /// <summary>Rows of partial sums that so many elements give.</summary>
    public static int Rows(long length) => checked((int)((length + Block - 1) / Block));

    /// <summary>Folds the lanes of one block: the upper half is added to the lower one until one sum is left.</summary>
    internal static double FoldLanes(Span<double> lanes)
    {
        for (int half = Lanes / 2; half > 0; half /= 2)
        {
            for (int lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        }

        return lanes[0];
    }

    /// <summary>
    /// Checks the arguments of a reduction that writes <paramref name="width"/> partial sums per block.
    /// </summary>
    internal static void Check(in Chunk chunk, int width, int partials)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(chunk.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(chunk.First % Block, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(partials, checked(Rows(chunk.Length) * width));
    }
}
