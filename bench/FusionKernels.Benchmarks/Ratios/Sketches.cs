using System.Numerics;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Randomized SVD of a bf16 delta against the same steps composed from <see cref="OpenBlas"/> and its LAPACK, both on
/// two threads: the delta formed once as an fp32 matrix, by vectors and by both threads, its energy summed on the way;
/// the sketch drawn by LAPACK's generator; products, QR and SVD by the library.
/// </summary>
internal static unsafe class Sketches
{
    private const double Target = 1.3;
    private const int Threads = 2, Size = 4096, Rank = 64, Oversampling = 16, PowerIterations = 2;
    private const int Width = Rank + Oversampling, Runs = 15;
    private const string Name = "4096x4096-delta-64";

    /// <summary>Measures the one case; none where OpenBLAS is missing.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        if (options.Case is not null and not Name)
            return [];
        if (OpenBlas.Load(Threads) is not null)
            return [Measure()];
        Console.Error.WriteLine("rsvd: left out, the system has no libopenblas.so.0");
        return [];
    }

    private static Ratio Measure()
    {
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, Threads);
        using var threads = new ThreadTeam(Threads, "anchor");
        using DenseMatrix<float> delta = Products.Random(Size, Size, 1), sketch = new(Width, Size);
        (ushort[] origin, ushort[] expert) = Products.Split(delta);
        var options = new SketchOptions { Oversampling = Oversampling, PowerIterations = PowerIterations };
        double captured = 0, expected = 0;
        fixed (ushort* basis = origin, tuned = expert)
        {
            Matrix operand = new(new Operand(ElementType.BF16, tuned), Size, Size)
            {
                Base = new Operand(ElementType.BF16, basis),
            };
            nint low = (nint)basis, high = (nint)tuned;
            var pairs = Pairs.Measure(
                () => Pairs.Seconds(() => expected = Compose(threads, (ushort*)low, (ushort*)high, delta, sketch)),
                () => Pairs.Seconds(() =>
                {
                    using RandomizedSvd svd = RandomizedSvd.Factor(team, operand, Rank, options);
                    captured = svd.CapturedEnergy;
                }),
                Runs);

            // Other normals, the same distribution.
            Console.Error.WriteLine($"rsvd/{Name}: captured {captured:P3}, OpenBLAS {expected:P3}");
            if (!(Math.Abs(captured - expected) <= 0.01 * expected))
                throw new WrongResultException($"rsvd/{Name}: captured {captured:P3} of the energy, not {expected:P3}");
            return new Ratio(
                $"rsvd/{Name}", Pairs.Median(pairs.Ours), "OpenBLAS, LAPACK", Pairs.Median(pairs.Anchor), Target);
        }
    }

    /// <summary>The steps of <see cref="RandomizedSvd"/>; all matrices by columns.</summary>
    /// <returns>The captured share of the energy.</returns>
    private static double Compose(
        ThreadTeam threads, ushort* origin, ushort* expert, DenseMatrix<float> delta, DenseMatrix<float> sketch)
    {
        double energy = FormDelta(threads, origin, expert, delta);
        OpenBlas.Normals(Width * Size, Data(sketch));

        // The delta's rows are the columns of its transpose.
        using DenseMatrix<float> y = new(Width, Size), z = new(Width, Size), left = new(Width, Size);
        using DenseMatrix<float> right = new(Width, Size), core = new(Width, Width);
        float* a = Data(delta), q = Data(y), other = Data(z);
        float[] values = new float[Width];
        OpenBlas.MultiplyColumns(Size, Width, Size, transposed: true, a, Data(sketch), q);
        for (int iteration = 0; iteration < PowerIterations; iteration++)
        {
            OpenBlas.Orthonormalize(Size, Width, q);
            OpenBlas.MultiplyColumns(Size, Width, Size, transposed: false, a, q, other);
            OpenBlas.Orthonormalize(Size, Width, other);
            OpenBlas.MultiplyColumns(Size, Width, Size, transposed: true, a, other, q);
        }

        OpenBlas.Orthonormalize(Size, Width, q);
        OpenBlas.MultiplyColumns(Size, Width, Size, transposed: false, a, q, other);
        fixed (float* s = values)
            OpenBlas.Decompose(Size, Width, other, Data(right), s, Data(core));

        // A^T Q = P S W^T and U = Q W, by rows U^T = W^T Q^T; W^T by columns is W by rows, so it is turned over.
        for (int i = 0; i < Width; i++)
        {
            for (int j = 0; j < i; j++)
                (core[i, j], core[j, i]) = (core[j, i], core[i, j]);
        }

        OpenBlas.Multiply(Width, Size, Width, Data(core), q, Data(left));
        return values.Take(Rank).Sum(value => (double)value * value) / energy;
    }

    /// <summary>Fills the delta and sums its squares, each thread half of the rows.</summary>
    private static double FormDelta(ThreadTeam threads, ushort* origin, ushort* expert, DenseMatrix<float> delta)
    {
        double[] sums = new double[Threads];
        threads.Run(Threads, (_, part) =>
        {
            for (int row = Size * part / Threads; row < Size * (part + 1) / Threads; row++)
            {
                nint first = (nint)row * Size;
                float* target = Data(delta) + first;
                Vector<float> squares = default;
                for (int i = 0; i < Size; i += Vector<ushort>.Count)
                {
                    (Vector<float> a, Vector<float> b) = Widen(expert + first + i);
                    (Vector<float> low, Vector<float> high) = Widen(origin + first + i);
                    (a, b) = (a - low, b - high);
                    a.Store(target + i);
                    b.Store(target + i + Vector<float>.Count);
                    squares += (a * a) + (b * b);
                }

                sums[part] += Vector.Sum(squares);
            }
        });
        return sums.Sum();
    }

    private static (Vector<float> Low, Vector<float> High) Widen(ushort* bits)
    {
        Vector.Widen(Vector.Load(bits), out Vector<uint> low, out Vector<uint> high);
        return (Vector.AsVectorSingle(low << 16), Vector.AsVectorSingle(high << 16));
    }

    private static float* Data(DenseMatrix<float> matrix) => (float*)matrix.View.Data.Address;
}
