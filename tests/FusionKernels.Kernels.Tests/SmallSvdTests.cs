using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Singular values against MathNet's and known ones; factors by what they multiply to.</summary>
public sealed class SmallSvdTests : IDisposable
{
    private static readonly CpuBackend Backend = new();
    private readonly StreamTeam _team = new(Backend, 2);

    public void Dispose() => _team.Dispose();

    [TestCase(0, 4)]
    [TestCase(4, 0)]
    [TestCase(1, 1)]
    [TestCase(1, 9)]
    [TestCase(9, 1)]
    [TestCase(31, 31)]
    [TestCase(90, 20)]
    [TestCase(20, 90)]
    [TestCase(64, 700)]
    public void The_singular_values_of_mathnet(int rows, int columns)
    {
        using DenseMatrix<double> a = Dense.Random<double>(rows, columns, rows + columns);
        double[] expected = rows * columns == 0 ? [] : [.. Dense.Of(a).Svd().S];
        AssertFactors(a, expected);
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(7)]
    public void Deficient_rank(int rank)
    {
        double[] values = [.. Enumerable.Range(1, rank).Select(i => 1.0 / i)];
        foreach ((int rows, int columns) in new[] { (12, 12), (50, 15), (15, 50) })
        {
            using DenseMatrix<double> a = Dense.WithSpectrum<double>(rows, columns, values, rows);
            AssertFactors(a, [.. values, .. new double[Math.Min(rows, columns) - rank]]);
        }
    }

    [Test]
    public void Rows_and_columns_of_zeros()
    {
        using DenseMatrix<double> a = Dense.Random<double>(20, 9, 3);
        a.Row(4).Clear();
        for (int i = 0; i < a.Rows; i++)
            (a[i, 0], a[i, 8]) = (0, 0);
        AssertFactors(a, [.. Dense.Of(a).Svd().S]);
    }

    [Test]
    public void Small_singular_values_of_a_graded_matrix_keep_their_relative_accuracy()
    {
        // Orthonormal columns scaled by powers of two: the singular values are the scales, to the rounding of Q.
        using DenseMatrix<double> random = Dense.Random<double>(60, 20, 5);
        Matrix<double> q = Dense.Of(random).QR(MathNet.Numerics.LinearAlgebra.Factorization.QRMethod.Thin).Q;
        double[] scales = [.. Enumerable.Range(0, 20).Select(i => Math.ScaleB(1, -5 * i))];
        using DenseMatrix<double> tall = Dense.From<double>(
            q * Matrix<double>.Build.DenseOfDiagonalArray(scales));
        using DenseMatrix<double> wide = Dense.From<double>(Dense.Of(tall).Transpose());
        foreach (DenseMatrix<double> a in new[] { tall, wide })
        {
            using SmallSvd svd = SmallSvd.Factor(_team, a);
            for (int i = 0; i < 20; i++)
                Assert.That(svd.Values[i], Is.EqualTo(scales[i]).Within(1e-11).Percent, $"value {i}");
        }
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void What_is_not_finite_is_refused(double value)
    {
        using DenseMatrix<double> a = Dense.Random<double>(5, 6, 1);
        a[2, 3] = value;
        Assert.Throws<ArithmeticException>(() => SmallSvd.Factor(_team, a));
    }

    private void AssertFactors(DenseMatrix<double> a, double[] expected)
    {
        Matrix<double> before = Dense.Of(a);
        using SmallSvd svd = SmallSvd.Factor(_team, a);
        Assert.That(Dense.Of(a), Is.EqualTo(before), "the input is left as it is");

        double bound = 1e-14 * (a.Rows + a.Columns) * (expected.FirstOrDefault() + 1e-300);
        Assert.That(svd.Values, Is.EqualTo(expected).Within(bound));
        Assert.That(svd.Values, Is.Ordered.Descending);
        if (expected.Length == 0)
            return;
        Matrix<double> left = Dense.Of(svd.Left), right = Dense.Of(svd.Right);
        Assert.That(Dense.DistanceFromOrthonormal(left), Is.LessThan(1e-13), "U");
        Assert.That(Dense.DistanceFromOrthonormal(right), Is.LessThan(1e-13), "V");
        Matrix<double> product =
            left.Transpose() * Matrix<double>.Build.DenseOfDiagonalArray(svd.Values) * right;
        Assert.That(Dense.Largest(product - before), Is.LessThanOrEqualTo(bound), "U diag(s) V^T");
        foreach (Vector<double> u in left.EnumerateRows())
            Assert.That(u.Maximum(), Is.GreaterThanOrEqualTo(-u.Minimum()));
    }
}
