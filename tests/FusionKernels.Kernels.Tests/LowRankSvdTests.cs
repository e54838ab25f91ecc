using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>The decomposition of a product of factors against that of the product.</summary>
public sealed class LowRankSvdTests : IDisposable
{
    private static readonly CpuBackend Backend = new();
    private readonly StreamTeam _team = new(Backend, 2);

    public void Dispose() => _team.Dispose();

    [TestCase(90, 12, 70)]
    [TestCase(70, 12, 90)]
    [TestCase(20, 33, 90)]
    [TestCase(90, 33, 20)]
    [TestCase(20, 64, 30)]
    [TestCase(5, 1, 1)]
    public void The_triplets_are_those_of_the_product(int rows, int inner, int columns)
    {
        using DenseMatrix<float> left = Dense.Random<float>(rows, inner, 1);
        using DenseMatrix<float> right = Dense.Random<float>(inner, columns, 2);
        Matrix<double> product = Dense.Of(left) * Dense.Of(right);
        var exact = product.Svd();
        using LowRankSvd svd = LowRankSvd.Factor(_team, left, right);

        int rank = Math.Min(inner, Math.Min(rows, columns));
        double scale = exact.S[0];
        Assert.That(svd.Values, Is.EqualTo(exact.S.Take(rank)).Within(2e-6 * scale));
        Assert.That(svd.Energy, Is.EqualTo(Math.Pow(product.FrobeniusNorm(), 2)).Within(1e-5 * scale * scale));
        Matrix<double> u = Dense.Of(svd.Left), v = Dense.Of(svd.Right);
        Assert.That(Dense.DistanceFromOrthonormal(u), Is.LessThan(3e-6));
        Assert.That(Dense.DistanceFromOrthonormal(v), Is.LessThan(3e-6));
        Matrix<double> again = u.Transpose() * Matrix<double>.Build.DenseOfDiagonalArray(svd.Values) * v;
        Assert.That(Dense.Largest(again - product), Is.LessThan(5e-6 * scale));
        Assert.That(v.EnumerateRows().All(row => row[row.AbsoluteMaximumIndex()] > 0));
    }

    [TestCase(10, 4, 256, 2)]
    [TestCase(256, 4, 64, 2)]
    [TestCase(256, 4, 64, 3)]
    [TestCase(128, 16, 128, 2)]
    [TestCase(100, 1, 100, 7)]
    public void Repeated_factors_add_no_rank(int rows, int inner, int columns, int times)
    {
        for (int seed = 1; seed <= 20; seed++)
        {
            using DenseMatrix<float> once = Dense.Random<float>(rows, inner, seed);
            using DenseMatrix<float> other = Dense.Random<float>(inner, columns, seed + 100);
            using DenseMatrix<float> left = new(rows, times * inner), right = new(times * inner, columns);
            for (int part = 0; part < times * inner; part++)
            {
                other.Row(part % inner).CopyTo(right.Row(part));
                for (int row = 0; row < rows; row++)
                    left[row, part] = once[row, part % inner];
            }

            using LowRankSvd svd = LowRankSvd.Factor(_team, left, right);
            Vector<double> exact = (times * Dense.Of(once) * Dense.Of(other)).Svd().S;
            Assert.That(svd.Values.Count(value => value > 0), Is.EqualTo(inner));
            Assert.That(svd.Values.Take(inner), Is.EqualTo(exact.Take(inner)).Within(2e-6 * exact[0]));
            Assert.That(Dense.DistanceFromOrthonormal(Dense.Of(svd.Left)), Is.LessThan(3e-6));
            Assert.That(Dense.DistanceFromOrthonormal(Dense.Of(svd.Right)), Is.LessThan(3e-6));
        }
    }

    [Test]
    public void Leading_triplets_leave_the_tail_of_the_dense_decomposition()
    {
        using DenseMatrix<float> left = Dense.Random<float>(60, 16, 3);
        using DenseMatrix<float> right = Dense.Random<float>(16, 80, 4);
        Matrix<double> product = Dense.Of(left) * Dense.Of(right);
        using LowRankSvd svd = LowRankSvd.Factor(_team, left, right);
        Matrix<double> u = Dense.Of(svd.Left), v = Dense.Of(svd.Right), kept = Matrix<double>.Build.Dense(60, 80);
        var exact = product.Svd();
        for (int rank = 1; rank <= 16; rank++)
        {
            kept += svd.Values[rank - 1] * u.Row(rank - 1).OuterProduct(v.Row(rank - 1));
            double tail = Math.Sqrt(exact.S.Skip(rank).Sum(value => value * value));
            Assert.That((product - kept).FrobeniusNorm(), Is.EqualTo(tail).Within(1e-5 * exact.S[0]), $"rank {rank}");
        }
    }

    [Test]
    public void Factors_that_cancel_out_have_no_values()
    {
        using var left = new DenseMatrix<float>(30, 4);
        using DenseMatrix<float> right = Dense.Random<float>(4, 20, 5);
        using DenseMatrix<float> half = Dense.Random<float>(30, 2, 6);
        for (int row = 0; row < 30; row++)
        {
            for (int column = 0; column < 4; column++)
                left[row, column] = column < 2 ? half[row, column] : -half[row, column - 2];
        }

        right.Row(0).CopyTo(right.Row(2));
        right.Row(1).CopyTo(right.Row(3));
        using LowRankSvd svd = LowRankSvd.Factor(_team, left, right);
        Assert.That(svd.Values, Is.All.Zero);
    }

    [Test]
    public void Teams_of_any_size_give_the_same_bits()
    {
        using DenseMatrix<float> left = Dense.Random<float>(300, 24, 7);
        using DenseMatrix<float> right = Dense.Random<float>(24, 500, 8);
        using var alone = new StreamTeam(Backend, 1);
        using LowRankSvd one = LowRankSvd.Factor(alone, left, right), two = LowRankSvd.Factor(_team, left, right);
        Assert.That(two.Values, Is.EqualTo(one.Values));
        for (int i = 0; i < one.Values.Length; i++)
        {
            Assert.That(two.Left.Row(i).SequenceEqual(one.Left.Row(i)));
            Assert.That(two.Right.Row(i).SequenceEqual(one.Right.Row(i)));
        }
    }

    [Test]
    public void What_has_no_decomposition_is_refused()
    {
        using DenseMatrix<float> left = Dense.Random<float>(6, 2, 9), right = Dense.Random<float>(2, 5, 10);
        Assert.Throws<ArgumentOutOfRangeException>(() => LowRankSvd.Factor(_team, right, right));
        right[1, 3] = float.NaN;
        Assert.Throws<ArithmeticException>(() => LowRankSvd.Factor(_team, left, right));
    }
}
