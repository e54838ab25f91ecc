using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Matrix products in fp32 against <see cref="OpenBlas"/>, both on two threads: a square one, two sketches of a weight
/// (tall and skinny, as randomized SVD multiplies them), and a sketch of a delta that is never materialised, for which
/// the anchor gets the delta ready-made.
/// </summary>
internal static unsafe class Products
{
    private const int Threads = 2, Repetitions = 5;

    private sealed record Case(int M, int N, int K, bool Delta = false)
    {
        public string Name => $"{M}x{N}x{K}{(Delta ? "-delta" : "")}";
    }

    private static readonly Case[] Cases =
        [new(2048, 2048, 2048), new(4096, 80, 4096), new(4096, 144, 14336), new(4096, 80, 4096, Delta: true)];

    /// <summary>Measures the cases one by one; none where OpenBLAS is missing.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        if (OpenBlas.Load(Threads) is not { } core)
        {
            Console.Error.WriteLine("gemm: left out, the system has no libopenblas.so.0");
            yield break;
        }

        Console.Error.WriteLine($"gemm: OpenBLAS runs {core} kernels, {Threads} threads");
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, Threads);
        foreach (Case product in Cases.Where(c => options.Case is null || c.Name == options.Case))
            yield return Measure(product, team);
    }

    private static Ratio Measure(Case product, StreamTeam team)
    {
        (int m, int n, int k) = (product.M, product.N, product.K);
        using DenseMatrix<float> left = Random(m, k, 1), right = Random(k, n, 2);
        using var expected = new DenseMatrix<float>(m, n);
        using var actual = new DenseMatrix<float>(m, n);
        ushort[] origin = [], expert = [];
        if (product.Delta)
            (origin, expert) = Split(left);

        fixed (ushort* basis = origin, tuned = expert)
        {
            Matrix operand = !product.Delta ? left.View : new Matrix(new Operand(ElementType.BF16, tuned), m, k)
            {
                Base = new Operand(ElementType.BF16, basis),
            };
            float* a = (float*)left.View.Data.Address, b = (float*)right.View.Data.Address;
            float* c = (float*)expected.View.Data.Address;
            var pairs = Pairs.Measure(
                () => Pairs.Seconds(() => OpenBlas.Multiply(m, n, k, a, b, c), Repetitions),
                () => Pairs.Seconds(() => team.Multiply(operand, right.View, actual.View), Repetitions));
            Check(product, expected, actual);
            double ours = Pairs.Median(pairs.Ours), anchor = Pairs.Median(pairs.Anchor);
            double flops = 2e-9 * m * n * k;
            Console.Error.WriteLine($"{product.Name}: ours {flops / ours:F0} GFLOP/s (best {flops / pairs.Ours.Min():F0}), "
                + $"OpenBLAS {flops / anchor:F0} (best {flops / pairs.Anchor.Min():F0})");
            return new Ratio($"gemm/{product.Name}", ours, "OpenBLAS sgemm", anchor, product.Delta ? null : 1);
        }
    }

    /// <summary>Standard normals.</summary>
    public static DenseMatrix<float> Random(int rows, int columns, int seed)
    {
        var matrix = new DenseMatrix<float>(rows, columns);
        for (int row = 0; row < rows; row++)
            Normals.Fill(matrix.Row(row), Normals.Seed(seed, row));
        return matrix;
    }

    /// <summary>
    /// Makes a base and an expert in bf16, and their difference out of the matrix: the base is its values, the expert
    /// the same with a little added.
    /// </summary>
    public static (ushort[] Origin, ushort[] Expert) Split(DenseMatrix<float> delta)
    {
        ushort[] origin = new ushort[delta.Rows * delta.Columns], expert = new ushort[origin.Length];
        float[] tuned = new float[delta.Columns], basis = new float[delta.Columns];
        for (int row = 0; row < delta.Rows; row++)
        {
            Span<float> values = delta.Row(row);
            for (int i = 0; i < tuned.Length; i++)
                tuned[i] = values[i] + (0.05f * values[tuned.Length - 1 - i]);
            Span<ushort> low = origin.AsSpan(row * tuned.Length, tuned.Length);
            Span<ushort> high = expert.AsSpan(row * tuned.Length, tuned.Length);
            Bf16.Round(values, low);
            Bf16.Round(tuned, high);
            Bf16.Widen(low, basis);
            Bf16.Widen(high, tuned);
            for (int i = 0; i < tuned.Length; i++)
                values[i] = tuned[i] - basis[i];
        }

        return (origin, expert);
    }

    private static void Check(Case product, DenseMatrix<float> expected, DenseMatrix<float> actual)
    {
        // Sums of K products of standard normals: far more than both sides' roundings add up to.
        double allowed = 1e-6 * product.K;
        for (int row = 0; row < expected.Rows; row++)
        {
            for (int column = 0; column < expected.Columns; column++)
            {
                if (!(Math.Abs(expected[row, column] - actual[row, column]) <= allowed))
                {
                    throw new WrongResultException($"gemm/{product.Name}: ({row}, {column}) is {actual[row, column]:G9}, "
                        + $"not {expected[row, column]:G9}");
                }
            }
        }
    }
}
