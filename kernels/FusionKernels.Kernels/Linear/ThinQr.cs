using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// Orthonormal bases of tall matrices: CholeskyQR2 (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA
/// 44, 2015) with Grams in fp64 and columns scaled to length 1, which holds up to condition numbers of 10^5 and more;
/// beyond that and for dependent columns, <see cref="HouseholderQr"/>.
/// </summary>
public static class ThinQr
{
    // Squared sines of a column's angle to those before it: below, the first Gram has lost the difference; in the
    // second, whose columns are all but orthonormal, nothing but 1 is expected.
    private const double SmallestFirst = 1e-12, SmallestSecond = 0.5;
    private const int RowsPerPart = 256;

    /// <summary>
    /// Replaces X by Q with <c>X = Q R</c>: <c>|Q^T Q - I|</c> is about the rounding of fp32 times the root of n
    /// whatever the rank (dependent columns get a direction orthogonal to all others), and <c>|X - Q R|</c> about 1e-7
    /// |X| per column. Some <c>3 m n^2</c> multiplications in fp64, twice as many in the fallback, which needs 8 m n
    /// bytes.
    /// </summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="x">
    /// m x n, m at least n, F32, stored by rows; receives Q. Where the team's backend holds it, it stays there.
    /// </param>
    /// <returns>R, n x n, upper triangular, with a diagonal of at least 0.</returns>
    /// <exception cref="ArithmeticException">X holds NaN or infinity. Its contents are as they were.</exception>
    public static DenseMatrix<double> Factor(IStreamTeam team, Matrix x)
    {
        x.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Data.Type, ElementType.F32);
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.ColumnStride, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(x.Rows, x.Columns);
        if (x.Base.Exists)
            throw new ArgumentException("a matrix that is replaced has no base", nameof(x));

        var r = new DenseMatrix<double>(x.Columns, x.Columns);
        for (int i = 0; i < x.Columns; i++)
            r[i, i] = 1;
        if (!Orthogonalize(team, x, r, SmallestFirst) || !Orthogonalize(team, x, r, SmallestSecond))
            OrthogonalizeByReflections(team, x, r);
        return r;
    }

    /// <summary>One pass: <c>X = Q' R'</c> by the Cholesky factor of X^T X, and <c>R = R' R</c>.</summary>
    /// <returns>False when a pivot is too small; then X and R are as they were.</returns>
    private static bool Orthogonalize(IStreamTeam team, Matrix x, DenseMatrix<double> r, double smallestPivot)
    {
        int n = x.Columns;
        using var gram = new DenseMatrix<double>(n, n);
        team.Gram(x, gram.View);
        double[] lengths = new double[n];
        for (int i = 0; i < n; i++)
        {
            // The diagonal is not finite if an element is not: sums of squares of fp32 cannot overflow fp64.
            lengths[i] = Math.Sqrt(gram[i, i]);
            if (!double.IsFinite(lengths[i]))
                throw new ArithmeticException("A matrix that holds NaN or infinity has no QR factorization.");
            if (lengths[i] == 0)
                return false;
        }

        for (int i = 0; i < n; i++)
        {
            TensorPrimitives.Divide(gram.Row(i), lengths[i], gram.Row(i));
            TensorPrimitives.Divide(gram.Row(i), lengths, gram.Row(i));
        }

        // With D the lengths and L L^T the scaled Gram, R' = L^T D and R'^-1 = D^-1 L^-T.
        if (!Cholesky.TryFactor(team, gram, smallestPivot))
            return false;
        using DenseMatrix<double> inverse = Cholesky.InverseTransposed(team, gram);
        for (int i = 0; i < n; i++)
        {
            TensorPrimitives.Divide(inverse.Row(i), lengths[i], inverse.Row(i));
            TensorPrimitives.Multiply(r.Row(i), lengths[i], r.Row(i));
        }

        using DenseMatrix<double> product = r.Clone();
        team.Multiply(gram.View.Transposed, product.View, r.View);
        MultiplyRows(team, x, inverse);
        return true;
    }

    // Through fp64, so that each element of Q is rounded once; on the host block by block of rows, which stay in the
    // cache.
    private static void MultiplyRows(IStreamTeam team, Matrix x, DenseMatrix<double> factor)
    {
        int part = team.Backend.Holds(factor.View.Data) ? RowsPerPart : Math.Max(1, x.Rows);
        team.Run((x.Rows + part - 1) / part, (stream, i) =>
        {
            int first = i * part, rows = Math.Min(part, x.Rows - first);
            using var product = new BackendMatrix(team.Backend, ElementType.F64, rows, x.Columns);
            Matrix block = x.SliceRows(first, rows);
            stream.Multiply(block, factor.View, product.View);
            stream.Copy(product.View, block);
        });
    }

    private static void OrthogonalizeByReflections(IStreamTeam team, Matrix x, DenseMatrix<double> r)
    {
        using var columns = new DenseMatrix<double>(x.Columns, x.Rows);
        team.Run(1, (stream, _) => stream.Copy(x.Transposed, columns.View));
        using DenseMatrix<double> factor = HouseholderQr.Factor(team, columns), product = r.Clone();
        team.Multiply(factor.View, product.View, r.View);
        team.Run(1, (stream, _) => stream.Copy(columns.View, x.Transposed));
    }
}
