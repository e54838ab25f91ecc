using System.Diagnostics;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Ilgpu;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Benchmarks.Ratios.Gpu;

/// <summary>
/// Dense linear algebra on a CUDA device, everything in its memory: products against cuBLAS, randomized SVD
/// against PyTorch's seconds (<c>--torch-svd</c>), forward passes of a SMILE layer against the least time that its
/// bytes and operations take at an H200's datasheet rates.
/// </summary>
internal static class DenseOnGpu
{
    private const int Inputs = 4096, Outputs = 14336, Experts = 8, Rank = 64, GateRank = 8, SvdRank = 128;
    private const double BytesPerSecond = 4.8e12, FlopsPerSecond = 989e12;
    private const string Svd = "gpu/rsvd-4096x14336-128", Smile = "gpu/smile";
    private const double SvdTarget = 2, SmileTarget = 1 / 1.3;

    private sealed record Case(string Type, int M, int N, int K, double Target)
    {
        public string Name => $"gpu/gemm-{Type}-{M}x{N}x{K}";
    }

    private static readonly Case[] Cases =
    [
        new("bf16", 8192, 8192, 8192, 0.5), new("bf16", 4096, 80, 4096, 0.5), new("bf16", 4096, 144, 14336, 0.5),
        new("f32", 4096, 4096, 4096, 0.7), new("f32", 4096, 80, 4096, 0.7),
    ];

    /// <summary>Measures the ratios one by one; none on other devices.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        if (!options.Device.StartsWith("cuda", StringComparison.Ordinal))
            yield break;
        using var backend = IlgpuBackend.Open(options.Device);
        using var stream = new IlgpuStream(backend) { IsWaiting = false };
        Console.Error.WriteLine($"gpu: {backend.Name}");
        backend.Accelerator.Bind();
        using CuBlas? anchor = CuBlas.Load();
        if (anchor is null)
            Console.Error.WriteLine("gpu: there is no cuBLAS to compare products with");
        var cases = new List<(string, Func<Ratio>)>();
        foreach (Case product in anchor is null ? [] : Cases)
            cases.Add((product.Name, () => Measure(product, backend, stream, anchor!)));
        if (options.TorchSvdSeconds is { } torch)
            cases.Add((Svd, () => MeasureSvd(backend, torch)));
        foreach (int tokens in new[] { 1, 2048 })
            cases.Add(($"{Smile}-{tokens}", () => MeasureSmile(backend, stream, tokens)));
        foreach (var ratio in GpuCases.Run(options, cases))
            yield return ratio;
    }

    private static Ratio Measure(Case product, IlgpuBackend backend, IlgpuStream stream, CuBlas anchor)
    {
        (int m, int n, int k) = (product.M, product.N, product.K);
        ElementType type = product.Type == "bf16" ? ElementType.BF16 : ElementType.F32;
        using BackendMatrix left = Random(stream, backend, type, m, k, 1);
        using BackendMatrix right = Random(stream, backend, type, k, n, 2);
        using var expected = new BackendMatrix(backend, ElementType.F32, m, n);
        using var actual = new BackendMatrix(backend, ElementType.F32, m, n);
        nint a = Address(backend, left), b = Address(backend, right), c = Address(backend, expected);
        int repetitions = Math.Max(1, (int)(2e13 / (2.0 * m * n * k)));
        var pairs = Pairs.Measure(
            () => Time(backend, repetitions, () => anchor.Multiply(m, n, k, type == ElementType.BF16, a, b, c)),
            () => Time(backend, repetitions, () => stream.Multiply(left.View, right.View, actual.View, 1, 0)));
        Check(product.Name, stream, expected, actual, 1e-5 * k);
        double ours = Pairs.Median(pairs.Ours), theirs = Pairs.Median(pairs.Anchor), flops = 2e-12 * m * n * k;
        Console.Error.WriteLine($"{product.Name}: ours {flops / ours:F1} TFLOP/s, cuBLAS {flops / theirs:F1}");
        return new Ratio(product.Name, ours, "cuBLAS", theirs, product.Target);
    }

    // A bf16 delta in the device's memory, the same options as torch.svd_lowrank(A, q=144, niter=2).
    private static Ratio MeasureSvd(IlgpuBackend backend, double anchor)
    {
        const int PowerIterations = 2, Oversampling = 16;
        using var team = new StreamTeam(backend, 1);
        using var stream = backend.OpenStream();
        using BackendMatrix expert = Random(stream, backend, ElementType.BF16, Inputs, Outputs, 1);
        using BackendMatrix basis = Random(stream, backend, ElementType.BF16, Inputs, Outputs, 2);
        Matrix delta = expert.View with { Base = basis.View.Data };
        var options = new SketchOptions { Oversampling = Oversampling, PowerIterations = PowerIterations };
        var seconds = new double[6];
        for (int i = 0; i < seconds.Length; i++)
            seconds[i] = Time(backend, 1, () => RandomizedSvd.Factor(team, delta, SvdRank, options).Dispose());
        Console.Error.WriteLine($"{Svd}: {string.Join(' ', seconds.Select(s => s.ToString("F4")))} s");
        return new Ratio(Svd, Pairs.Median(seconds[1..]), "torch.svd_lowrank", anchor, SvdTarget);
    }

    // The anchor is a roofline, so the ratio is the share of it that is reached.
    private static Ratio MeasureSmile(IlgpuBackend backend, IlgpuStream stream, int tokens)
    {
        using BackendMatrix weights = Random(stream, backend, ElementType.BF16, Outputs, Inputs, 1);
        using BackendMatrix ups = Random(stream, backend, ElementType.BF16, Experts * Outputs, Rank, 2);
        using BackendMatrix downs = Random(stream, backend, ElementType.BF16, Experts * Rank, Inputs, 3);
        using BackendMatrix input = Random(stream, backend, ElementType.F32, tokens, Inputs, 4);
        using BackendMatrix output = new(backend, ElementType.F32, tokens, Outputs);
        Expert[] experts = [.. Enumerable.Range(0, Experts).Select(i =>
            new Expert(ups.View.SliceRows(i * Outputs, Outputs))
            {
                Down = downs.View.SliceRows(i * Rank, Rank),
                Gate = downs.View.SliceRows(i * Rank, GateRank),
            })];
        using var layer = new DeviceGatedLayer(backend, new GatedLinear(weights.View, default, experts, 1));
        layer.Forward(input.View, output.View);
        layer.Wait();
        int repetitions = tokens == 1 ? 200 : 10;
        double[] seconds = [.. Enumerable.Range(0, 5).Select(
            _ => Time(backend, repetitions, () => layer.Forward(input.View, output.View)))];

        // Every weight that some token needs is read once, every activation read or written once.
        double own = Rank * (double)(Inputs + Outputs), scores = Experts * GateRank * (double)Inputs;
        double dense = (double)Inputs * Outputs, activations = sizeof(float) * (double)tokens * (Inputs + Outputs);
        double bytes = (sizeof(ushort) * (dense + scores + (Math.Min(tokens, Experts) * own))) + activations;
        double flops = 2.0 * tokens * (dense + scores + own);
        double least = Math.Max(bytes / BytesPerSecond, flops / FlopsPerSecond);
        double? target = tokens == 1 ? SmileTarget : null;
        return new Ratio($"{Smile}-{tokens}", Pairs.Median(seconds), "roofline of an H200", least, target);
    }

    private static double Time(IlgpuBackend backend, int repetitions, Action run)
    {
        backend.Accelerator.Synchronize();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repetitions; i++)
            run();
        backend.Accelerator.Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / repetitions;
    }

    private static nint Address(IlgpuBackend backend, BackendMatrix matrix) =>
        backend.Memories.Find(matrix.View.Data.Address)!.From(matrix.View.Data.Address).LoadEffectiveAddressAsPtr();

    /// <summary>Standard normals; large matrices repeat some of the rows.</summary>
    private static BackendMatrix Random(
        IKernelStream stream, IlgpuBackend backend, ElementType type, int rows, int columns, int seed)
    {
        using DenseMatrix<float> some = Products.Random(Math.Min(rows, 256), columns, seed);
        var matrix = new BackendMatrix(backend, type, rows, columns);
        for (int row = 0; row < rows; row += some.Rows)
        {
            int count = Math.Min(some.Rows, rows - row);
            stream.Copy(some.View.SliceRows(0, count), matrix.View.SliceRows(row, count));
        }

        return matrix;
    }

    private static void Check(
        string name, IlgpuStream stream, BackendMatrix expected, BackendMatrix actual, double allowed)
    {
        using DenseMatrix<float> theirs = new(expected.View.Rows, expected.View.Columns);
        using DenseMatrix<float> ours = new(theirs.Rows, theirs.Columns);
        stream.Copy(expected.View, theirs.View);
        stream.Copy(actual.View, ours.View);
        for (int row = 0; row < theirs.Rows; row += 61)
        {
            for (int column = 0; column < theirs.Columns; column++)
            {
                if (!(Math.Abs(theirs[row, column] - ours[row, column]) <= allowed))
                {
                    throw new WrongResultException(
                        $"{name}: ({row}, {column}) is {ours[row, column]}, not {theirs[row, column]}");
                }
            }
        }
    }
}
