namespace FusionKernels.Kernels;

/// <summary>
/// Matrix products shared by a team of streams. How the output is cut into parts never shows in it
/// (<see cref="IKernelStream.Multiply"/>): any team gives the same bits.
/// </summary>
public static class MatrixProduct
{
    // What a part's length is a multiple of: whole registers; and for a Gram, whose parts all pack most of x, more.
    private const int Grain = 16, GramGrain = 48;

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
        int part = PartLength(output.Rows, team.Count, Grain);
        team.Run(Parts(output.Rows, part), (stream, i) =>
        {
            int first = i * part, rows = Math.Min(part, output.Rows - first);
            stream.Multiply(left.SliceRows(first, rows), right, output.SliceRows(first, rows), alpha, beta);
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
        int n = x.Columns, part = PartLength(n, 4 * team.Count, GramGrain);
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

    private static int PartLength(int length, int parts, int grain) =>
        Math.Max(1, Parts(Parts(length, parts), grain)) * grain;

    /// <summary>How many parts of a length cover another.</summary>
    private static int Parts(int length, int part) => (length + part - 1) / part;
}
