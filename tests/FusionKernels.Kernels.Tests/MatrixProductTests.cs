using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Kernels.Tests;

/// <summary>Products shared by teams of streams.</summary>
public sealed class MatrixProductTests
{
    private static readonly CpuBackend Backend = new();

    [Test]
    public void Every_team_gives_the_bits_of_one_stream([Values(1, 2, 7, 16)] int count)
    {
        using var team = new StreamTeam(Backend, count);
        using IKernelStream stream = Backend.OpenStream();
        (int, int, int)[] shapes =
            [(0, 3, 2), (1, 1, 1), (100, 7, 600), (7, 100, 30), (403, 150, 20), (200, 310, 9)];
        foreach ((int m, int n, int k) in shapes)
        {
            using var matrices = new TestMatrices(m + n);
            Matrix left = matrices.New(ElementType.F32, m, k), right = matrices.New(ElementType.F32, k, n, gap: 2);
            Matrix expected = matrices.New(ElementType.F32, m, n), actual = matrices.New(ElementType.F32, m, n);
            stream.Multiply(left, right, expected, 0.3);
            team.Multiply(left, right, actual, 0.3);

            Assert.That(Values(actual), Is.EqualTo(Values(expected)), $"{m} x {n} x {k}");
        }
    }

    [Test]
    public void A_gram_is_symmetric_and_the_product_with_the_transpose(
        [Values(1, 2, 5)] int count, [Values(ElementType.F32, ElementType.F64)] ElementType type)
    {
        using var team = new StreamTeam(Backend, count);
        foreach ((int m, int n) in new[] { (0, 3), (5, 1), (30, 47), (20, 200), (600, 97) })
        {
            using var matrices = new TestMatrices(m + n);
            Matrix x = matrices.New(ElementType.BF16, m, n, byColumns: m % 2 == 0, delta: true);
            Matrix gram = matrices.New(type, n, n, gap: 1), product = matrices.New(type, n, n);
            team.Gram(x, gram);
            team.Multiply(x.Transposed, x, product);

            Assert.That(Values(gram), Is.EqualTo(Values(product)), $"{m} x {n}");
            Assert.That(Values(gram.Transposed), Is.EqualTo(Values(gram)));
        }
    }

    [Test]
    public void A_failure_in_a_team_comes_back_and_the_team_goes_on()
    {
        using var team = new StreamTeam(Backend, 3);
        var failure = Assert.Throws<InvalidDataException>(
            () => team.Run(100, (_, i) => throw new InvalidDataException(i < 100 ? "an item's" : "nobody's")));
        Assert.That(failure!.Message, Is.EqualTo("an item's"));

        int[] seen = new int[1000];
        team.Run(seen.Length, (_, i) => Interlocked.Increment(ref seen[i]));
        Assert.That(seen, Is.All.EqualTo(1));
    }

    [Test]
    public void A_dense_matrix_begins_with_zeros_and_refuses_to_be_used_when_disposed()
    {
        var matrix = new DenseMatrix<double>(3, 5);
        matrix[2, 4] = 7;
        using DenseMatrix<double> clone = matrix.Clone();
        Assert.That(Values(clone.View).Cast<double>().Sum(), Is.EqualTo(7));
        Assert.That((long)clone.View.Data.Address % 64, Is.Zero);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Row(3));
        matrix.Dispose();
        matrix.Dispose();
        Assert.Throws<ObjectDisposedException>(() => matrix.Row(0));
        Assert.Throws<ObjectDisposedException>(() => _ = matrix.View);
    }

    private static double[,] Values(Matrix matrix) => TestMatrices.Values(matrix, ElementType.F64);
}
