namespace FusionKernels.Kernels;

/// <summary>
/// Matrix products shared by a team of streams. How the output is cut into parts never shows in it
/// (<see cref="IKernelStream.Multiply"/>): any team gives the same bits.
/// </summary>
public static class MatrixProduct
{
    // What the length of a part is a multiple of: whole registers; across, and in a Gram, what three of them hold.
    private const int Grain = 16, WideGrain = 48;

    /// <summary>
    /// <c>output = alpha * left * right + beta * output</c>, as <see cref="IKernelStream.Multiply"/>.
    /// </summary>
    /// <param name="team">Who computes.</param>
    /// <param name="left">m x k.</param>
    /// <param name="right">k x n.</param>
    /// <param name="output">m x n, F32 or F64: also the type that sums run in.</param>
    /// <param name="alpha">Factor on the product.</param>
    /// <param name="beta">Factor on what the output holds; it is not read where this is 0.</param>
    public static void Multiply(
        this IStreamTeam team, Matrix left, Matrix right, Matrix output, double alpha = 1, double beta = 0)
    {
        Matrix.CheckProduct(left, right, output);
        if (output.Columns > output.Rows)
            (left, right, output) = (right.Transposed, left.Transposed, output.Transposed);
        int across = PartsAcross(output, team.Count), wide = PartLength(output.Columns, across, WideGrain);
        int high = PartLength(output.Rows, team.Count / across, Grain), inRow = Parts(output.Columns, wide);
        team.Run(Parts(output.Rows, high) * inRow, (stream, i) =>
        {
            int row = i / inRow * high, rows = Math.Min(high, output.Rows - row);
            int column = i % inRow * wide, columns = Math.Min(wide, output.Columns - column);
            Matrix part = output.Slice(row, column, rows, columns);
            stream.Multiply(left.SliceRows(row, rows), right.Slice(0, column, right.Rows, columns), part, alpha, beta);
        });
    }

    /// <summary>
    /// <c>output = x^T x</c>, symmetric to the bit; the upper triangle is computed and mirrored. For <c>x x^T</c> pass
    /// <see cref="Matrix.Transposed"/>.
    /// </summary>
    /// <param name="team">Who computes.</param>
    /// <param name="x">m x n.</param>
    /// <param name="output">n x n, F32 or F64: also the type that sums run in.</param>
    public static void Gram(this IStreamTeam team, Matrix x, Matrix output)
    {
        Matrix.CheckProduct(x.Transposed, x, output);

        // The first rows are the longest: several parts a member even the work out.
        int n = x.Columns, part = PartLength(n, 4 * team.Count, WideGrain);
        team.Run(Parts(n, part), (stream, i) =>
        {
            int first = i * part, rows = Math.Min(part, n - first), columns = n - first;
            Matrix left = x.Slice(0, first, x.Rows, rows).Transposed, right = x.Slice(0, first, x.Rows, columns);
            stream.Multiply(left, right, output.Slice(first, first, rows, columns));
        });
        team.Run(Parts(n, part), (_, i) =>
        {
            int first = i * part, rows = Math.Min(part, n - first);
            if (output.Data.Type == ElementType.F32)
                Mirror<float>(output, first, rows);
            else
                Mirror<double>(output, first, rows);
        });
    }

    // SAFETY: the output was checked to be n x n of T.
    private static unsafe void Mirror<T>(in Matrix output, int first, int rows)
        where T : unmanaged
    {
        var data = (T*)output.Data.Address;
        for (int i = first; i < first + rows; i++)
        {
            for (int j = 0; j < i; j++)
            {
                data[(i * output.RowStride) + (j * output.ColumnStride)] =
                    data[(j * output.RowStride) + (i * output.ColumnStride)];
            }
        }
    }

    /// <summary>
    /// How many of the parts lie side by side: every part packs its rows of the left matrix and its columns of the
    /// right one, all in all the less the nearer it is to a square.
    /// </summary>
    private static int PartsAcross(in Matrix output, int parts)
    {
        double square = Math.Sqrt((double)parts * output.Columns / Math.Max(1, output.Rows));
        return Enumerable.Range(1, parts).Last(across => across == 1 || (across <= square && parts % across == 0));
    }

    private static int PartLength(int length, int parts, int grain) =>
        Math.Max(1, Parts(Parts(length, parts), grain)) * grain;

    /// <summary>How many parts of a length cover another.</summary>
    private static int Parts(int length, int part) => (length + part - 1) / part;
}
