using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// Householder's QR in fp64 (Golub and Van Loan, "Matrix Computations", 5.2): orthonormal whatever the rank, column by
/// column and so slower than products.
/// </summary>
internal static class HouseholderQr
{
    // Elements worth another member of the team.
    private const int Grain = 1 << 16;

    /// <summary>Replaces n columns of length m by n orthonormal ones, also where they are dependent or zero.</summary>
    /// <param name="team">Who computes.</param>
    /// <param name="columns">n x m, m at least n: row j is column j.</param>
    /// <returns>R, n x n, upper triangular with a diagonal of at least 0; column j of the input is Q R_j.</returns>
    public static DenseMatrix<double> Factor(IStreamTeam team, DenseMatrix<double> columns)
    {
        // Reflection j is I - beta_j v v^T; v stands where it zeroed its column, from element j on, and R above it.
        int n = columns.Rows;
        double[] beta = new double[n];
        var r = new DenseMatrix<double>(n, n);
        for (int j = 0; j < n; j++)
        {
            Span<double> v = columns.Row(j)[j..];
            double norm = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(v));
            for (int row = 0; row < j; row++)
                r[row, j] = columns[j, row];
            if (norm == 0)
                continue;
            double head = Math.CopySign(norm, v[0]);
            r[j, j] = -head;
            v[0] += head;
            beta[j] = 1 / (head * v[0]);
            Reflect(team, columns, j, beta[j], j + 1);
        }

        // Q is the reflections applied to the first n columns of the identity, the last one first.
        for (int j = n - 1; j >= 0; j--)
        {
            Reflect(team, columns, j, beta[j], j + 1);
            Span<double> column = columns.Row(j), v = column[j..];
            TensorPrimitives.Multiply(v, -beta[j] * v[0], v);
            v[0] += 1;
            column[..j].Clear();
            if (r[j, j] < 0)
            {
                TensorPrimitives.Negate(v, v);
                TensorPrimitives.Negate<double>(r.Row(j)[j..], r.Row(j)[j..]);
            }
        }

        return r;
    }

    /// <summary>Applies reflection <paramref name="j"/> to the columns from <paramref name="first"/> on.</summary>
    private static void Reflect(IStreamTeam team, DenseMatrix<double> columns, int j, double beta, int first)
    {
        int count = columns.Rows - first, length = columns.Columns - j;
        int parts = (int)Math.Clamp((long)count * length / Grain, 1, team.Count);
        team.Run(parts, (_, part) =>
        {
            Span<double> v = columns.Row(j)[j..];
            for (int column = first + (count * part / parts); column < first + (count * (part + 1) / parts); column++)
            {
                Span<double> target = columns.Row(column)[j..];
                TensorPrimitives.MultiplyAdd(v, -beta * TensorPrimitives.Dot<double>(v, target), target, target);
            }
        });
    }
}
