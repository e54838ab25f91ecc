using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// The singular value decomposition of a product of thin factors, <c>L R = U diag(s) V^T</c>, from QR factorizations of
/// L and R^T and the small decomposition between them: the product itself is never formed. Some <c>3 (m + n) K^2</c>
/// multiplications in fp64 for an m x K and a K x n factor.
/// </summary>
public sealed class LowRankSvd : IDisposable
{
    // Relative to |L| |R|: what fp32 leaves where factors cancel out.
    private const double Rounding = 1.0 / (1 << 22);

    private LowRankSvd(DenseMatrix<float> left, double[] values, DenseMatrix<float> right) =>
        (Left, Values, Right) = (left, values, right);

    /// <summary>U transposed, k x m with k = min(m, K, n): row j is the left vector j, of length 1.</summary>
    public DenseMatrix<float> Left { get; }

    /// <summary>
    /// All k singular values, largest first, each within some 1e-6 of the largest; 0 where they are no more than the
    /// rounding of the factors, 2^-22 |L| |R| in Frobenius norms.
    /// </summary>
    public double[] Values { get; }

    /// <summary>V transposed, k x n: row j is the right vector j; its largest element is positive.</summary>
    public DenseMatrix<float> Right { get; }

    /// <summary>The square of the product's Frobenius norm.</summary>
    public double Energy => TensorPrimitives.SumOfSquares<double>(Values);

    /// <summary>Factors a product; its factors are left as they are.</summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="left">L, m x K.</param>
    /// <param name="right">R, K x n.</param>
    /// <exception cref="ArithmeticException">A factor holds NaN or infinity.</exception>
    public static LowRankSvd Factor(IStreamTeam team, DenseMatrix<float> left, DenseMatrix<float> right)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(right.Rows, left.Columns);

        // With L = P A and R^T = Q B, and A B^T = X diag(s) Y^T: U = P X and V = Q Y.
        using DenseMatrix<float> p = left.Clone(), q = Transpose(right);
        using DenseMatrix<double> a = Orthogonalize(team, p), b = Orthogonalize(team, q);
        using var core = new DenseMatrix<double>(a.Rows, b.Rows);
        team.Multiply(a.View, b.View.Transposed, core.View);
        using SmallSvd small = SmallSvd.Factor(team, core);
        double least = Rounding * Norm(a) * Norm(b);
        double[] values = [.. small.Values.Select(value => value > least ? value : 0)];
        DenseMatrix<float> u = Vectors(team, small.Left, p), v = Vectors(team, small.Right, q);
        for (int i = 0; i < values.Length; i++)
        {
            if (Orientation.MakeLargestPositive(v.Row(i)))
                TensorPrimitives.Negate<float>(u.Row(i), u.Row(i));
        }

        return new LowRankSvd(u, values, v);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }

    /// <summary>A tall matrix becomes its orthonormal factor; of a wide one that is the identity.</summary>
    /// <returns>The other factor.</returns>
    private static DenseMatrix<double> Orthogonalize(IStreamTeam team, DenseMatrix<float> x)
    {
        if (x.Rows >= x.Columns)
            return ThinQr.Factor(team, x.View);
        var whole = new DenseMatrix<double>(x.Rows, x.Columns);
        for (int row = 0; row < x.Rows; row++)
            TensorPrimitives.ConvertTruncating<float, double>(x.Row(row), whole.Row(row));
        return whole;
    }

    /// <summary>The vectors in the rows of <paramref name="core"/>, in the space that the basis spans.</summary>
    private static DenseMatrix<float> Vectors(IStreamTeam team, DenseMatrix<double> core, DenseMatrix<float> basis)
    {
        var vectors = new DenseMatrix<float>(core.Rows, basis.Rows);
        if (basis.Rows >= basis.Columns)
        {
            team.Multiply(core.View, basis.View.Transposed, vectors.View);
            return vectors;
        }

        for (int row = 0; row < core.Rows; row++)
            TensorPrimitives.ConvertTruncating<double, float>(core.Row(row), vectors.Row(row));
        return vectors;
    }

    private static double Norm(DenseMatrix<double> x)
    {
        double squares = 0;
        for (int row = 0; row < x.Rows; row++)
            squares += TensorPrimitives.SumOfSquares<double>(x.Row(row));
        return Math.Sqrt(squares);
    }

    private static DenseMatrix<float> Transpose(DenseMatrix<float> x)
    {
        var transposed = new DenseMatrix<float>(x.Columns, x.Rows);
        for (int row = 0; row < x.Rows; row++)
        {
            Span<float> source = x.Row(row);
            for (int column = 0; column < source.Length; column++)
                transposed[column, row] = source[column];
        }

        return transposed;
    }
}
