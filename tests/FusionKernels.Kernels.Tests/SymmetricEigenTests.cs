using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Eigenvalues against MathNet's and known ones, vectors by their residuals.</summary>
public sealed class SymmetricEigenTests
{
    private static readonly CpuBackend Backend = new();

    private static IEnumerable<double[]> Spectra()
    {
        yield return [];
        yield return [-3];
        yield return [2, -2];
        yield return [1, 1, 1];
        yield return new double[20];
        yield return [.. Enumerable.Range(0, 63).Select(i => Math.Pow(10, -i / 4.0))];
        yield return [.. Enumerable.Range(0, 100).Select(i => i % 3 == 0 ? 5.0 : -i)];
        yield return [.. Enumerable.Repeat(1.0, 40), .. new double[25]];
        yield return [.. Enumerable.Range(0, 257).Select(i => Math.Sin(i))];
    }

    [TestCaseSource(nameof(Spectra))]
    public void Known_eigenvalues(double[] values)
    {
        using DenseMatrix<double> a = Dense.WithEigenvalues(values, values.Length);
        AssertFactors(a, [.. values.OrderDescending()]);
    }

    [TestCase(2)]
    [TestCase(33)]
    [TestCase(150)]
    public void The_eigenvalues_of_mathnet(int n)
    {
        using DenseMatrix<double> random = Dense.Random<double>(n, n, n);
        Matrix<double> symmetric = Dense.Of(random) + Dense.Of(random).Transpose();
        using DenseMatrix<double> a = Dense.From<double>(symmetric);
        AssertFactors(a, [.. symmetric.Evd(Symmetricity.Symmetric).EigenValues.Select(v => v.Real).OrderDescending()]);
    }

    [Test]
    public void Grams_of_low_rank_beside_rounding_converge([Values(64, 97, 200)] int n, [Values(1, 2, 3)] int seed)
    {
        // The Gram of 4 rows and of noise at fp32's rounding: most eigenvalues are at fp64's rounding of the largest.
        using DenseMatrix<double> rows = Dense.Random<double>(4, n, seed);
        using DenseMatrix<double> noise = Dense.Random<double>(256, n, seed + 9);
        using DenseMatrix<double> a = Dense.From<double>(
            (Dense.Of(rows).Transpose() * Dense.Of(rows)) + (1e-15 * (Dense.Of(noise).Transpose() * Dense.Of(noise))));
        using var team = new StreamTeam(Backend, 1);
        using SymmetricEigen eigen = SymmetricEigen.Factor(team, a);
        double largest = eigen.Values[0];
        Assert.That(eigen.Values[3], Is.GreaterThan(1e-3 * largest));
        Assert.That(eigen.Values[4..], Is.All.InRange(-1e-13 * largest, 1e-11 * largest));
    }

    [Test]
    public void Diagonal_and_tridiagonal_matrices()
    {
        using var a = new DenseMatrix<double>(50, 50);
        for (int i = 0; i < 50; i++)
            a[i, i] = i % 7;
        AssertFactors(a, [.. Enumerable.Range(0, 50).Select(i => (double)(i % 7)).OrderDescending()]);

        // The second difference: 2 - 2 cos(k pi / (n + 1)).
        for (int i = 0; i < 50; i++)
        {
            a[i, i] = 2;
            if (i > 0)
                (a[i, i - 1], a[i - 1, i]) = (-1, -1);
        }

        AssertFactors(a, [.. Enumerable.Range(1, 50).Select(k => 2 - (2 * Math.Cos(k * Math.PI / 51))).Reverse()]);
    }

    [Test]
    public void The_bits_do_not_depend_on_the_team()
    {
        using DenseMatrix<double> random = Dense.Random<double>(400, 400, 1);
        using DenseMatrix<double> a = Dense.From<double>(Dense.Of(random) + Dense.Of(random).Transpose());
        using var single = new StreamTeam(Backend, 1);
        using var triple = new StreamTeam(Backend, 3);
        using SymmetricEigen one = SymmetricEigen.Factor(single, a), three = SymmetricEigen.Factor(triple, a);
        Assert.That(three.Values, Is.EqualTo(one.Values));
        Assert.That(Dense.Of(three.Vectors), Is.EqualTo(Dense.Of(one.Vectors)));
    }

    [TestCase(double.NaN)]
    [TestCase(double.NegativeInfinity)]
    public void What_is_not_finite_is_refused(double value)
    {
        using DenseMatrix<double> a = Dense.WithEigenvalues([3, 2, 1], 1);
        (a[0, 2], a[2, 0]) = (value, value);
        using var team = new StreamTeam(Backend, 1);
        Assert.Throws<ArithmeticException>(() => SymmetricEigen.Factor(team, a));
        using var wide = new DenseMatrix<double>(2, 3);
        Assert.Throws<ArgumentOutOfRangeException>(() => SymmetricEigen.Factor(team, wide));
    }

    private static void AssertFactors(DenseMatrix<double> a, double[] expected)
    {
        using var team = new StreamTeam(Backend, 2);
        Matrix<double> before = Dense.Of(a);
        using SymmetricEigen eigen = SymmetricEigen.Factor(team, a);
        Assert.That(Dense.Of(a), Is.EqualTo(before), "the input is left as it is");

        int n = a.Rows;
        double bound = 1e-14 * (n + 1) * Dense.Largest(before);
        Assert.That(eigen.Values, Is.EqualTo(expected).Within(bound));
        Assert.That(eigen.Values, Is.Ordered.Descending);
        Matrix<double> vectors = Dense.Of(eigen.Vectors);
        Assert.That(Dense.DistanceFromOrthonormal(vectors), Is.LessThan(1e-14 * (n + 1)));
        for (int i = 0; i < n; i++)
        {
            Vector<double> v = vectors.Row(i);
            Assert.That(((before * v) - (eigen.Values[i] * v)).L2Norm(), Is.LessThanOrEqualTo(10 * bound));
            Assert.That(v.Maximum(), Is.GreaterThanOrEqualTo(-v.Minimum()));
        }
    }
}
