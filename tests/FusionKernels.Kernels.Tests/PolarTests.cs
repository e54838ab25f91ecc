using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Factorization;

namespace FusionKernels.Kernels.Tests;

/// <summary>The polar factor against U V^T of MathNet's singular value decomposition.</summary>
public sealed class PolarTests : IDisposable
{
    private static readonly CpuBackend Backend = new();
    private readonly StreamTeam _team = new(Backend, 2);

    public void Dispose() => _team.Dispose();

    [TestCase(1, 1)]
    [TestCase(40, 40)]
    [TestCase(100, 30)]
    [TestCase(30, 100)]
    public void Full_rank(int rows, int columns)
    {
        foreach (bool byColumns in new[] { false, true })
        {
            double[] values = [.. Enumerable.Range(1, Math.Min(rows, columns)).Select(i => 1e-3 * i)];
            using DenseMatrix<float> x = Dense.WithSpectrum<float>(rows, columns, values, rows);
            Matrix<double> expected = Factor(Dense.Of(x), values.Length);
            double deviation = Polar.Orthogonalize(_team, byColumns ? x.View.Transposed : x.View);
            Assert.That(deviation, Is.LessThanOrEqualTo(1e-5));
            Assert.That(Dense.Largest(Dense.Of(x) - expected), Is.LessThan(2e-5));
        }
    }

    [Test]
    public void Directions_that_are_not_there_stay_out()
    {
        using DenseMatrix<float> x = Dense.WithSpectrum<float>(50, 20, [3, 2, 1], 5);
        Matrix<double> expected = Factor(Dense.Of(x), 3);
        Polar.Orthogonalize(_team, x.View, steps: 12);

        // fp32 rounding of X has grown by 1.5^12 at most.
        Assert.That(Dense.Largest(Dense.Of(x) - expected), Is.LessThan(2e-3));
    }

    [Test]
    public void Zeros_and_nothing_stay_what_they_are()
    {
        using DenseMatrix<float> zeros = new(5, 3), nothing = new(0, 3);
        Assert.That(Polar.Orthogonalize(_team, zeros.View), Is.Zero);
        Assert.That(Dense.Largest(Dense.Of(zeros)), Is.Zero);
        Assert.That(Polar.Orthogonalize(_team, nothing.View), Is.Zero);
    }

    [TestCase(float.NaN)]
    [TestCase(float.NegativeInfinity)]
    public void What_is_not_finite_is_refused(float value)
    {
        using DenseMatrix<float> x = Dense.Random<float>(9, 9, 1);
        x[3, 3] = value;
        Assert.Throws<ArithmeticException>(() => Polar.Orthogonalize(_team, x.View));
    }

    private static Matrix<double> Factor(Matrix<double> x, int rank)
    {
        Svd<double> svd = x.Svd();
        Matrix<double> u = svd.U.SubMatrix(0, x.RowCount, 0, rank), v = svd.VT.SubMatrix(0, rank, 0, x.ColumnCount);
        return u * v;
    }
}
