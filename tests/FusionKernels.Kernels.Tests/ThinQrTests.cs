using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Q is orthonormal and Q R is X, whatever X is like.</summary>
public sealed class ThinQrTests : IDisposable
{
    private static readonly CpuBackend Backend = new();
    private readonly StreamTeam _team = new(Backend, 2);

    public void Dispose() => _team.Dispose();

    [TestCase(0, 0)]
    [TestCase(5, 0)]
    [TestCase(1, 1)]
    [TestCase(17, 1)]
    [TestCase(7, 7)]
    [TestCase(300, 31)]
    [TestCase(1000, 80)]
    [TestCase(257, 200)]
    public void Full_rank(int rows, int columns) => AssertFactors(Dense.Random<float>(rows, columns, rows));

    [TestCase(1e-2)]
    [TestCase(1e-4)]
    [TestCase(1e-6)]
    [TestCase(1e-9)]
    public void Graded_spectrum(double smallest)
    {
        double[] values = [.. Enumerable.Range(0, 40).Select(i => Math.Pow(smallest, i / 39.0))];
        AssertFactors(Dense.WithSpectrum<float>(500, 40, values, 3));
    }

    [TestCase(0.5)]
    [TestCase(1e-3)]
    [TestCase(1e-6)]
    public void A_basis_without_a_triangle_spans_what_the_columns_do(double smallest)
    {
        double[] values = [.. Enumerable.Range(0, 40).Select(i => Math.Pow(smallest, i / 39.0))];
        using DenseMatrix<float> x = Dense.WithSpectrum<float>(700, 40, values, 3), rough = x.Clone(), fine = x.Clone();
        ThinQr.Recondition(_team, rough.View);
        ThinQr.Orthonormalize(_team, fine.View);
        Assert.That(Dense.DistanceFromOrthonormal(Dense.Of(rough).Transpose()), Is.LessThan(1e-2));
        Assert.That(Dense.DistanceFromOrthonormal(Dense.Of(fine).Transpose()), Is.LessThan(1e-6));
        foreach (Matrix<double> basis in new[] { Dense.Of(rough).QR().Q, Dense.Of(fine) })
        {
            Matrix<double> columns = Dense.Of(x), missed = columns - (basis * (basis.Transpose() * columns));
            Assert.That(Dense.Largest(missed), Is.LessThan(1e-6));
        }
    }

    [Test]
    public void Graded_columns()
    {
        DenseMatrix<float> x = Dense.Random<float>(400, 30, 5);
        for (int i = 0; i < x.Rows; i++)
        {
            for (int j = 0; j < x.Columns; j++)
                x[i, j] *= MathF.Pow(10, -j);
        }

        AssertFactors(x);
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(20)]
    public void Deficient_rank(int rank)
    {
        AssertFactors(Dense.WithSpectrum<float>(300, 50, [.. Enumerable.Repeat(1.0, rank)], 7));

        // The same to the last bit: small integers.
        var exact = new DenseMatrix<float>(200, 40);
        for (int i = 0; i < exact.Rows && rank > 0; i++)
        {
            for (int j = 0; j < exact.Columns; j++)
                exact[i, j] = ((i * 7) + (j % rank * 3)) % 11;
        }

        AssertFactors(exact);
    }

    [Test]
    public void Columns_of_zeros_between_others()
    {
        DenseMatrix<float> x = Dense.Random<float>(100, 12, 9);
        for (int i = 0; i < x.Rows; i++)
            (x[i, 0], x[i, 5], x[i, 11]) = (0, 0, 0);
        AssertFactors(x);
    }

    [Test]
    public void R_has_a_positive_diagonal_and_is_mathnets()
    {
        using DenseMatrix<float> x = Dense.Random<float>(120, 16, 11);
        Matrix<double> expected = Dense.Of(x).QR(MathNet.Numerics.LinearAlgebra.Factorization.QRMethod.Thin).R;
        using DenseMatrix<double> r = ThinQr.Factor(_team, x.View);
        for (int i = 0; i < 16; i++)
        {
            int sign = Math.Sign(expected[i, i]);
            for (int j = 0; j < 16; j++)
                Assert.That(r[i, j], Is.EqualTo(sign * expected[i, j]).Within(1e-5), $"({i}, {j})");
        }
    }

    [Test]
    public void The_bits_do_not_depend_on_the_team([Values(10, 40)] int rank)
    {
        double[] values = [.. Enumerable.Repeat(1.0, rank)];
        using DenseMatrix<float> one = Dense.WithSpectrum<float>(700, 40, values, 13), three = one.Clone();
        using var single = new StreamTeam(Backend, 1);
        using var triple = new StreamTeam(Backend, 3);
        using DenseMatrix<double> r = ThinQr.Factor(single, one.View), s = ThinQr.Factor(triple, three.View);
        Assert.That(Dense.Of(three), Is.EqualTo(Dense.Of(one)));
        Assert.That(Dense.Of(s), Is.EqualTo(Dense.Of(r)));
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void What_is_not_finite_is_refused_and_kept(float value)
    {
        using DenseMatrix<float> x = Dense.Random<float>(30, 4, 15);
        x[17, 2] = value;
        using DenseMatrix<float> before = x.Clone();
        Assert.Throws<ArithmeticException>(() => ThinQr.Factor(_team, x.View));
        Assert.That(Dense.Of(x), Is.EqualTo(Dense.Of(before)));
    }

    [Test]
    public void Arguments_are_checked()
    {
        using var wide = new DenseMatrix<float>(3, 4);
        using var doubles = new DenseMatrix<double>(4, 3);
        Assert.Throws<ArgumentOutOfRangeException>(() => ThinQr.Factor(_team, wide.View));
        Assert.Throws<ArgumentOutOfRangeException>(() => ThinQr.Factor(_team, wide.View.Transposed));
        Assert.Throws<ArgumentOutOfRangeException>(() => ThinQr.Factor(_team, doubles.View));
    }

    private void AssertFactors(DenseMatrix<float> x)
    {
        Matrix<double> original = Dense.Of(x);
        using DenseMatrix<double> r = ThinQr.Factor(_team, x.View);
        Matrix<double> q = Dense.Of(x), upper = Dense.Of(r);
        Assert.That(Dense.DistanceFromOrthonormal(q.Transpose()), Is.LessThan(1e-6), "Q^T Q");
        for (int j = 0; j < x.Columns; j++)
        {
            double error = (original.Column(j) - (q * upper.Column(j))).L2Norm();
            Assert.That(error, Is.LessThanOrEqualTo(1e-6 * original.Column(j).L2Norm()), $"column {j} of X - Q R");
            Assert.That(upper[j, j], Is.GreaterThanOrEqualTo(0));
            for (int i = j + 1; i < x.Columns; i++)
                Assert.That(upper[i, j], Is.Zero);
        }

        x.Dispose();
    }
}
