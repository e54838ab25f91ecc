using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Solutions against MathNet's, and the residual that the solver reports.</summary>
public sealed class SpdSolverTests : IDisposable
{
    private static readonly CpuBackend Backend = new();
    private readonly StreamTeam _team = new(Backend, 2);

    public void Dispose() => _team.Dispose();

    [Test]
    public void Solutions_of_every_size([Values(0, 1, 2, 63, 64, 65, 130, 300)] int n, [Values(0, 1, 7, 50)] int rows)
    {
        using DenseMatrix<double> a = Dense.WithEigenvalues([.. Enumerable.Range(1, n).Select(i => 0.1 * i)], n);
        using DenseMatrix<double> b = Dense.Random<double>(rows, n, rows);
        Matrix<double> expected = rows * n == 0
            ? Dense.Of(b) : Dense.Of(a).Cholesky().Solve(Dense.Of(b).Transpose()).Transpose();
        double residual = SpdSolver.Solve(_team, a, b);
        Assert.That(Dense.Largest(Dense.Of(b) - expected), Is.LessThanOrEqualTo(1e-10 * (1 + Dense.Largest(expected))));
        Assert.That(residual, Is.InRange(0, 1e-14));
    }

    [Test]
    public void An_ill_conditioned_system_has_a_small_residual()
    {
        double[] values = [.. Enumerable.Range(0, 100).Select(i => Math.Pow(10, -i / 9.0))];
        using DenseMatrix<double> a = Dense.WithEigenvalues(values, 1), b = Dense.Random<double>(5, 100, 2);
        Assert.That(SpdSolver.Solve(_team, a, b), Is.InRange(0, 1e-14));
    }

    [Test]
    public void A_ridge_is_a_share_of_the_mean_diagonal()
    {
        using DenseMatrix<double> a = Dense.WithEigenvalues([4, 2, 0, 0], 3), b = Dense.Random<double>(3, 4, 4);
        Matrix<double> ridged = Dense.Of(a) + (0.1 * 6 / 4 * Matrix<double>.Build.DenseIdentity(4));
        Matrix<double> expected = ridged.Cholesky().Solve(Dense.Of(b).Transpose()).Transpose();
        SpdSolver.Solve(_team, a, b, 0.1);
        Assert.That(Dense.Largest(Dense.Of(b) - expected), Is.LessThan(1e-12));
    }

    [TestCase(-1)]
    [TestCase(0)]
    [TestCase(double.NaN)]
    public void What_is_not_positive_definite_is_said_and_the_right_sides_are_kept(double value)
    {
        using var a = new DenseMatrix<double>(80, 80);
        for (int i = 0; i < 80; i++)
            a[i, i] = i == 70 ? value : 1;
        using DenseMatrix<double> b = Dense.Random<double>(2, 80, 5), before = b.Clone();
        Assert.That(SpdSolver.Solve(_team, a, b), Is.NaN);
        Assert.That(Dense.Of(b), Is.EqualTo(Dense.Of(before)));
    }

    [Test]
    public void Arguments_are_checked()
    {
        using DenseMatrix<double> square = new(3, 3), wide = new(2, 4);
        Assert.Throws<ArgumentOutOfRangeException>(() => SpdSolver.Solve(_team, wide, wide));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpdSolver.Solve(_team, square, wide));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpdSolver.Solve(_team, square, square, -1));
    }
}
