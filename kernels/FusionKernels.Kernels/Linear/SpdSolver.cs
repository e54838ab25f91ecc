using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>Linear systems with a symmetric positive definite matrix, as regressions give.</summary>
public static class SpdSolver
{
    /// <summary>
    /// Replaces each row b of <paramref name="rightSides"/> by x with <c>(A + r I) x = b</c>, where
    /// <c>r = ridge * trace(A) / n</c>: Cholesky in fp64 and one step of refinement, all rows at once.
    /// </summary>
    /// <param name="team">Who computes.</param>
    /// <param name="a">n x n, symmetric.</param>
    /// <param name="rightSides">m x n: a right side a row; receives the solutions.</param>
    /// <param name="ridge">At least 0; 1e-6 to 1e-3 regularises a Gram of few samples.</param>
    /// <returns>
    /// The residual <c>max |b - (A + r I) x| / (max |b| + max |A + r I| sum |x|)</c> over all rows, 0 for m = 0: some n
    /// times 1e-16 for a solution that is as good as fp64 gives; or <see cref="double.NaN"/> when the matrix is not
    /// positive definite (or not finite), and the right sides are as they were.
    /// </returns>
    public static double Solve(
        IStreamTeam team, DenseMatrix<double> a, DenseMatrix<double> rightSides, double ridge = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Columns, a.Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(rightSides.Columns, a.Rows);
        ArgumentOutOfRangeException.ThrowIfNegative(ridge);
        int n = a.Rows;
        using DenseMatrix<double> ridged = a.Clone();
        double trace = 0, largest = 0;
        for (int i = 0; i < n; i++)
            trace += a[i, i];
        for (int i = 0; i < n; i++)
        {
            ridged[i, i] += ridge * trace / n;
            largest = Math.Max(largest, Largest(ridged.Row(i)));
        }

        using DenseMatrix<double> factor = ridged.Clone();
        if (!Cholesky.TryFactor(team, factor, 0))
            return double.NaN;

        using DenseMatrix<double> solutions = rightSides.Clone(), rest = rightSides.Clone();
        Cholesky.Solve(team, factor, solutions);
        team.Multiply(solutions.View, ridged.View, rest.View, -1, 1);
        Cholesky.Solve(team, factor, rest);
        team.Run(rest.Rows, (_, row) => TensorPrimitives.Add(solutions.Row(row), rest.Row(row), solutions.Row(row)));

        double worst = 0;
        team.Run(rest.Rows, (_, row) => rightSides.Row(row).CopyTo(rest.Row(row)));
        team.Multiply(solutions.View, ridged.View, rest.View, -1, 1);
        for (int row = 0; row < rest.Rows && n > 0; row++)
        {
            double scale = Largest(rightSides.Row(row))
                + (largest * TensorPrimitives.SumOfMagnitudes<double>(solutions.Row(row)));
            double difference = Largest(rest.Row(row));
            worst = Math.Max(worst, difference == 0 ? 0 : difference / scale);
            solutions.Row(row).CopyTo(rightSides.Row(row));
        }

        return worst;
    }

    private static double Largest(ReadOnlySpan<double> row) => Math.Abs(TensorPrimitives.MaxMagnitude(row));
}
