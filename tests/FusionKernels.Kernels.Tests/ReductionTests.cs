namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Gram and absolute sums: every backend against the reference, bit for bit, and the reference against plain sums.
/// </summary>
public unsafe class ReductionTests
{
    [Test]
    public void Every_length_and_type_gives_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        foreach (int length in Backends.Some(backend, Lengths()))
        {
            using var tensors = new TestTensors(length + ((int)type * 1000));
            Source[] sources = [new(tensors.New(type, length, 1)), new(tensors.New(type, length, 3)) { Scale = 1.25f }];
            Operand basis = length % 2 == 0 ? tensors.New(type, length, 1) : default;
            AssertSame(cpu, reference, new Chunk { First = 0, Length = length, Base = basis, Sources = sources });
        }
    }

    [Test]
    public void One_to_seven_models_of_mixed_types_and_all_masks_give_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [Values(1, 2, 3, 5, 7)] int models,
        [Values] bool hasBase)
    {
        const int Length = 9000;
        const long First = 3 * Reduction.Block;
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        using var tensors = new TestTensors(models);
        Mask[] masks =
        [
            default,
            Mask.Dropping(new Philox(1, 2), 0.9),
            Mask.Magnitude(0x3C00_0000, First + 4000),
            tensors.Bits(First + Length),
        ];
        var sources = new Source[models];
        for (int m = 0; m < models; m++)
        {
            Operand data = tensors.New(Backends.Types[m % Backends.Types.Length], Length);
            float scale = m % 2 == 0 ? 1 : 10f / m;
            sources[m] = new Source(data) { Mask = masks[m % masks.Length], Scale = scale, Weight = float.NaN };
        }

        Operand basis = hasBase ? tensors.New(ElementType.BF16, Length) : default;
        byte[][] before = tensors.Snapshot();
        AssertSame(cpu, reference, new Chunk { First = First, Length = Length, Base = basis, Sources = sources });
        Assert.That(tensors.Snapshot(), Is.EqualTo(before), "inputs were written");
    }

    [Test]
    public void Partial_sums_do_not_depend_on_the_division_into_chunks(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        const int Length = (3 * Reduction.Block) + 77;
        using IKernelStream cpu = Backends.Open(backend);
        using var tensors = new TestTensors(5, anyBits: 0);
        Source source = new(tensors.New(ElementType.BF16, Length)) { Mask = Mask.Dropping(new Philox(3, 4), 0.25) };
        Source other = new(tensors.New(ElementType.F16, Length)) { Mask = Mask.Magnitude(0x3C00_0000, 5000) };
        double[] whole = Gram(cpu, new Chunk { First = 0, Length = Length, Sources = [source, other] });
        var pieces = new List<double>();
        for (int start = 0; start < Length; start += Reduction.Block)
        {
            Source[] piece =
            [
                source with { Data = source.Data.Skip(start) }, other with { Data = other.Data.Skip(start) },
            ];
            int length = Math.Min(Reduction.Block, Length - start);
            pieces.AddRange(Gram(cpu, new Chunk { First = start, Length = length, Sources = piece }));
        }

        Assert.That(pieces, Is.EqualTo(whole));
    }

    [Test]
    public void The_reference_is_close_to_plain_sums()
    {
        const int Length = 10_000;
        using IKernelStream reference = Backends.Reference.OpenStream();
        using var tensors = new TestTensors(6, anyBits: 0);
        Operand x = tensors.New(ElementType.F32, Length), y = tensors.New(ElementType.F32, Length);
        float[] xs = new ReadOnlySpan<float>((void*)x.Address, Length).ToArray();
        float[] ys = new ReadOnlySpan<float>((void*)y.Address, Length).ToArray();
        var chunk = new Chunk { First = 0, Length = Length, Sources = [new(x), new(y)] };
        double[] gram = Reduction.Fold(Gram(reference, chunk), 3);
        double[] sums = Reduction.Fold(AbsoluteSum(reference, chunk), 2);
        Assert.That(gram[0], Is.EqualTo(xs.Sum(v => (double)v * v)).Within(1e-12).Percent);
        Assert.That(gram[1], Is.EqualTo(xs.Zip(ys, (a, b) => (double)a * b).Sum()).Within(1e-9));
        Assert.That(gram[2], Is.EqualTo(ys.Sum(v => (double)v * v)).Within(1e-12).Percent);
        Assert.That(sums[0], Is.EqualTo(xs.Sum(v => Math.Abs((double)v))).Within(1e-12).Percent);
        Assert.That(sums[1], Is.EqualTo(ys.Sum(v => Math.Abs((double)v))).Within(1e-12).Percent);
    }

    [Test]
    public void The_tree_of_a_block_is_sixteen_lanes_folded_by_halves()
    {
        // Powers of two far apart show each addition: 1 and 2^-53 vanish or survive depending on who meets whom first.
        float[] values = new float[17];
        values[0] = 1;
        values[8] = MathF.ScaleB(1, -53);
        values[4] = MathF.ScaleB(1, -53);
        values[16] = MathF.ScaleB(1, -53);
        using IKernelStream reference = Backends.Reference.OpenStream();
        fixed (float* data = values)
        {
            Source source = new(new Operand(ElementType.F32, data));
            double sum = AbsoluteSum(reference, new Chunk { First = 0, Length = 17, Sources = [source] })[0];

            // Lane 0: 1 + 2^-53 = 1 (ties to even); + lane 8 = 1; + lane 4 = 1.
            Assert.That(sum, Is.EqualTo(1));
        }

        values[8] = 0;
        values[12] = MathF.ScaleB(1, -53);
        values[16] = 0;
        fixed (float* data = values)
        {
            Source source = new(new Operand(ElementType.F32, data));
            double sum = AbsoluteSum(reference, new Chunk { First = 0, Length = 17, Sources = [source] })[0];

            // Lanes 4 and 12 meet first: 2^-52, which then counts.
            Assert.That(sum, Is.EqualTo(1 + Math.ScaleB(1, -52)));
        }
    }

    [Test]
    public void Fold_adds_neighbours_and_lifts_an_odd_row()
    {
        double tiny = Math.ScaleB(1, -53);
        Assert.That(Reduction.Fold([1, tiny, tiny], 1)[0], Is.EqualTo(1));
        Assert.That(Reduction.Fold([1, 0, tiny, tiny], 1)[0], Is.EqualTo(1 + (2 * tiny)));
        Assert.That(Reduction.Fold([1, 10, 2, 20, 3, 30], 2), Is.EqualTo(new double[] { 6, 60 }));
        Assert.That(Reduction.Fold([], 2), Is.EqualTo(new double[2]));
    }

    [Test]
    public void Arguments_are_checked([ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        foreach (IKernelStream stream in new[] { Backends.Open(backend), Backends.Reference.OpenStream() })
        {
            Assert.Throws<ArgumentOutOfRangeException>(
                () => stream.Gram(new Chunk { First = 1, Length = 0, Sources = [] }, []));
            Assert.Throws<ArgumentOutOfRangeException>(
                () => stream.AbsoluteSum(new Chunk { First = 0, Length = 0, Sources = [] }, new double[1]));
            stream.Gram(new Chunk { First = 0, Length = 0, Sources = [] }, []);
        }
    }

    private static IEnumerable<int> Lengths() =>
        Enumerable.Range(0, 258).Concat([511, 512, 513, 4095, 4096, 4097, 8200]);

    private static void AssertSame(IKernelStream cpu, IKernelStream reference, in Chunk chunk)
    {
        Assert.That(Bits(Gram(cpu, chunk)), Is.EqualTo(Bits(Gram(reference, chunk))), $"Gram of {chunk.Length}");
        long[] sums = Bits(AbsoluteSum(reference, chunk));
        Assert.That(Bits(AbsoluteSum(cpu, chunk)), Is.EqualTo(sums), $"sum of {chunk.Length}");
    }

    private static double[] Gram(IKernelStream stream, in Chunk chunk)
    {
        int models = chunk.Sources.Length;
        double[] partials = new double[Reduction.Rows(chunk.Length) * models * (models + 1) / 2];
        Array.Fill(partials, -1);
        stream.Gram(chunk, partials);
        return partials;
    }

    private static double[] AbsoluteSum(IKernelStream stream, in Chunk chunk)
    {
        double[] partials = new double[Reduction.Rows(chunk.Length) * chunk.Sources.Length];
        Array.Fill(partials, -1);
        stream.AbsoluteSum(chunk, partials);
        return partials;
    }

    // The payload and sign of a NaN are the processor's business.
    private static long[] Bits(double[] values) =>
        [.. values.Select(v => BitConverter.DoubleToInt64Bits(double.IsNaN(v) ? double.NaN : v))];
}
