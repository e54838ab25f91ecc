using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// The thin singular value decomposition <c>A = U diag(s) V^T</c> in fp64: Householder's QR, then one-sided Jacobi
/// rotations of the triangle (Demmel and Veselic, SIAM J. Matrix Anal. 13, 1992). Small singular values are as accurate
/// as the columns' (or, of a wide matrix, the rows') scaling allows, not only relative to the largest. Meant for a
/// smaller side up to about 512; the larger one may be a layer's.
/// </summary>
public sealed class SmallSvd : IDisposable
{
    private const int MostSweeps = 60;

    // Cosine of two rows' angle below which they count as orthogonal.
    private const double Orthogonal = 1e-15;

    // Square of a length, relative to another's, below which a row is zero.
    private const double Nothing = 1e-200;

    private SmallSvd(DenseMatrix<double> left, double[] values, DenseMatrix<double> right) =>
        (Left, Values, Right) = (left, values, right);

    /// <summary>
    /// U transposed, r x m with r = min(m, n): row j is the left vector j; its element of largest magnitude is
    /// positive. The rows are orthonormal also where singular values are 0.
    /// </summary>
    public DenseMatrix<double> Left { get; }

    /// <summary>The r singular values, largest first; 0 where they are less than some 1e-100 of the largest.</summary>
    public double[] Values { get; }

    /// <summary>V transposed, r x n: row j is the right vector j.</summary>
    public DenseMatrix<double> Right { get; }

    /// <summary>Factors a matrix, which is left as it is.</summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="a">m x n.</param>
    /// <exception cref="ArithmeticException">The matrix holds NaN or infinity.</exception>
    public static SmallSvd Factor(IStreamTeam team, DenseMatrix<double> a)
    {
        bool wide = a.Columns > a.Rows;
        using DenseMatrix<double> lines = Lines(a, wide);
        for (int line = 0; line < lines.Rows; line++)
        {
            if (!double.IsFinite(TensorPrimitives.MaxMagnitude<double>(lines.Row(line))))
                throw new ArithmeticException("A matrix that holds NaN or infinity has no singular values.");
        }

        // The lines are the columns of X = Q R, and rotations J make the columns of R orthogonal: R J^T = Z diag(s), so
        // that X = (Q Z) diag(s) J. Here everything stands transposed: row i of `rotated` becomes s_i z_i^T.
        using DenseMatrix<double> r = HouseholderQr.Factor(team, lines), rotated = Lines(r, wide: false);
        int n = r.Rows;
        using var rotations = new DenseMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
            rotations[i, i] = 1;
        Orthogonalize(rotated, rotations);

        double[] lengths = [.. Enumerable.Range(0, n).Select(i => Norm(rotated.Row(i)))];
        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(i => lengths[i])];
        double[] values = [.. order.Select(i => lengths[i])];
        using var z = new DenseMatrix<double>(n, n);
        DenseMatrix<double> along = new(n, n), across = new(n, lines.Columns);
        for (int i = 0; i < n; i++)
        {
            if (values[i] > 0)
                TensorPrimitives.Divide(rotated.Row(order[i]), values[i], z.Row(i));
            rotations.Row(order[i]).CopyTo(along.Row(i));
        }

        // Orthonormal rows stay as they are; those of singular value 0 become orthogonal to them.
        if (n > 0 && values[^1] == 0)
            HouseholderQr.Factor(team, z).Dispose();
        team.Multiply(z.View, lines.View, across.View);
        (DenseMatrix<double> left, DenseMatrix<double> right) = wide ? (along, across) : (across, along);
        for (int i = 0; i < n; i++)
        {
            if (Orientation.MakeLargestPositive(left.Row(i)))
                TensorPrimitives.Negate<double>(right.Row(i), right.Row(i));
        }

        return new SmallSvd(left, values, right);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }

    /// <summary>The rows of a wide matrix, else the columns, each as a row.</summary>
    private static DenseMatrix<double> Lines(DenseMatrix<double> a, bool wide)
    {
        if (wide)
            return a.Clone();
        var lines = new DenseMatrix<double>(a.Columns, a.Rows);
        for (int row = 0; row < a.Rows; row++)
        {
            for (int column = 0; column < a.Columns; column++)
                lines[column, row] = a[row, column];
        }

        return lines;
    }

    /// <summary>Sweeps over all pairs of rows until each is orthogonal to each.</summary>
    private static void Orthogonalize(DenseMatrix<double> rows, DenseMatrix<double> rotations)
    {
        bool changed = true;
        for (int sweep = 0; changed; sweep++)
        {
            if (sweep == MostSweeps)
                throw new ArithmeticException("Jacobi's rotations do not converge.");
            changed = false;
            for (int i = 0; i < rows.Rows; i++)
            {
                for (int j = i + 1; j < rows.Rows; j++)
                    changed |= Rotate(rows.Row(i), rows.Row(j), rotations.Row(i), rotations.Row(j));
            }
        }
    }

    /// <summary>Makes x and y orthogonal, unless they are.</summary>
    private static bool Rotate(Span<double> x, Span<double> y, Span<double> left, Span<double> right)
    {
        double xx = TensorPrimitives.SumOfSquares<double>(x), yy = TensorPrimitives.SumOfSquares<double>(y);
        double xy = TensorPrimitives.Dot<double>(x, y);

        // A row that depends on others shrinks to 1e-16 of its length with each rotation, and is never orthogonal to all
        // of them: it is zero before its square is too small a number.
        if (xx < Nothing * yy || yy < Nothing * xx)
        {
            (xx < yy ? x : y).Clear();
            return false;
        }

        if (!(Math.Abs(xy) > Orthogonal * Math.Sqrt(xx) * Math.Sqrt(yy)))
            return false;
        double zeta = (xx - yy) / (2 * xy);
        double tangent = 1 / (zeta + Math.CopySign(double.Hypot(1, zeta), zeta));
        double cosine = 1 / double.Hypot(1, tangent), sine = cosine * tangent;
        Rotation.Apply(x, y, cosine, sine);
        Rotation.Apply(left, right, cosine, sine);
        return true;
    }

    private static double Norm(Span<double> vector) => Math.Sqrt(TensorPrimitives.SumOfSquares<double>(vector));
}
