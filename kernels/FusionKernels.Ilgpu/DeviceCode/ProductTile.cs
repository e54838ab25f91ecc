using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>The tile of a product that a group computes.</summary>
/// <param name="row">Its first row.</param>
/// <param name="column">Its first column.</param>
internal readonly struct ProductTile(int row, int column)
{
    /// <summary>Columns of a tile.</summary>
    public const int Width = 128;

    /// <summary>Threads of a group that multiplies without tensor cores.</summary>
    public const int PlainThreads = 256;

    // Rows of tiles that neighbouring groups share: what they read of both operands then stays in the device's cache.
    private const int Band = 8;

    public readonly int Row = row, Column = column;

    /// <summary>How many parts of a length cover another.</summary>
    public static int Count(int length, int part) => (length / part) + (length % part > 0 ? 1 : 0);

    /// <summary>The group's tile: bands of rows, and within them column by column.</summary>
    /// <param name="rows">Rows of the product.</param>
    /// <param name="columns">Columns of the product.</param>
    /// <param name="height">Rows of a tile.</param>
    public static ProductTile OfGroup(int rows, int columns, int height)
    {
        int across = Count(columns, Width), first = Grid.IdxX / (Band * across) * Band;
        int bandHeight = IntrinsicMath.Min(Band, Count(rows, height) - first), within = Grid.IdxX - (first * across);
        return new ProductTile((first + (within % bandHeight)) * height, within / bandHeight * Width);
    }
}
