using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Forward passes of gated layers: the SIMD kernels of every width against the reference within the stated bounds, and
/// the same bits for every team and, for few tokens, every batch.
/// </summary>
[TestFixture]
public sealed unsafe class GatedLinearTests
{
    // Tokens, outputs, inputs, experts, rank, rank of the router, experts per token.
    private static readonly int[][] s_shapes =
    [
        [1, 1, 1, 1, 1, 1, 1], [1, 70, 33, 3, 5, 2, 1], [2, 129, 64, 2, 7, 7, 2], [3, 3, 257, 4, 2, 3, 3],
        [5, 17, 100, 3, 16, 4, 2], [8, 65, 31, 8, 3, 1, 2], [9, 40, 65, 3, 5, 2, 2], [33, 600, 70, 4, 9, 3, 2],
        [0, 5, 7, 2, 2, 2, 1], [4, 0, 7, 2, 2, 2, 1], [40, 0, 7, 2, 2, 2, 1], [3, 9, 20, 0, 0, 0, 0],
        [30, 9, 20, 0, 0, 0, 0], [2, 9, 0, 0, 0, 0, 0], [20, 9, 0, 0, 0, 0, 0], [300, 5, 12, 1, 3, 0, 1],
    ];

    private static IEnumerable<TestCaseData> Cases =>
        from backend in Backends.Names
        from shape in s_shapes.Where((_, i) => Backends.Takes(backend, i, every: 3))
        select new TestCaseData(backend, shape).SetArgDisplayNames(backend, string.Join(" ", shape));

    [TestCaseSource(nameof(Cases))]
    public void Every_backend_is_within_the_bound_of_the_reference(string backend, int[] shape)
    {
        using var tensors = new TestTensors(shape[1], anyBits: 0);
        GatedLinear layer = Layer(tensors, shape, ElementType.BF16, ElementType.F16);
        byte[][] before = [];
        Compare(tensors, layer, backend, shape[0], () => before = tensors.Snapshot());
        Assert.That(tensors.Snapshot().Take(before.Length - 2), Is.EqualTo(before.SkipLast(2)), "inputs were written");
    }

    [Test]
    public void Every_storage_type_is_within_the_bound(
        [Values] ElementType weights,
        [Values(ElementType.F32, ElementType.F8E5M2)] ElementType experts,
        [Values(3, 20)] int tokens)
    {
        using var tensors = new TestTensors(7, anyBits: 0);
        foreach (string backend in Backends.Names.Where(b => Backends.Takes(b, (int)weights, every: 5)))
            Compare(tensors, Layer(tensors, [tokens, 37, 53, 3, 6, 4, 2], weights, experts, slack: 1), backend, tokens);
    }

    [TestCase(1)]
    [TestCase(6)]
    [TestCase(30)]
    public void Dense_experts_and_experts_of_any_rank_stand_side_by_side(int tokens)
    {
        using var tensors = new TestTensors(8, anyBits: 0);
        const int Outputs = 45, Inputs = 36;
        Matrix New(int rows, int columns) => Stored(tensors, ElementType.F32, rows, columns);
        Expert[] experts =
        [
            new(New(Outputs, Inputs)) { Gate = New(2, Inputs), Bias = tensors.New(ElementType.F32, Outputs) },
            new(New(Outputs, 3)) { Down = New(3, Inputs), Gate = New(5, Inputs) },
            new(New(Outputs, 20)) { Down = New(20, Inputs), Gate = New(1, Inputs) },
        ];
        var layer = new GatedLinear(New(Outputs, Inputs), tensors.New(ElementType.F64, Outputs), experts, 2);
        foreach (string backend in Backends.Names)
            Compare(tensors, layer, backend, tokens);
    }

    [TestCase(1)]
    [TestCase(7)]
    [TestCase(60)]
    public void Teams_of_any_size_give_the_same_bits(int tokens)
    {
        using var tensors = new TestTensors(9, anyBits: 0);
        GatedLinear layer = Layer(tensors, [tokens, 400, 3000, 4, 40, 8, 2], ElementType.BF16, ElementType.BF16);
        Matrix input = Stored(tensors, ElementType.F32, tokens, layer.Inputs);
        using var backend = new CpuBackend();
        float[]? expected = null;
        foreach (int count in new[] { 1, 2, 3, 5 })
        {
            using var team = new StreamTeam(backend, count);
            float[] output = Forward(new GatedForward(team), layer, input);
            Assert.That(output, Is.EqualTo(expected ??= output), $"{count} streams");
        }
    }

    [Test]
    public void Few_tokens_have_the_bits_that_each_would_have_alone()
    {
        using var tensors = new TestTensors(10, anyBits: 0);
        GatedLinear layer = Layer(tensors, [8, 70, 90, 3, 5, 2, 2], ElementType.BF16, ElementType.F32);
        Matrix input = Stored(tensors, ElementType.F32, GatedLinear.FewTokens, layer.Inputs);
        foreach (int width in Backends.Widths)
        {
            using var backend = new CpuBackend(width);
            using var team = new StreamTeam(backend, 1);
            var forward = new GatedForward(team);
            for (int tokens = 1; tokens <= input.Rows; tokens++)
            {
                float[] together = Forward(forward, layer, input.SliceRows(0, tokens));
                float[] alone = Forward(forward, layer, input.SliceRows(tokens - 1, 1));
                Assert.That(together[^layer.Outputs..], Is.EqualTo(alone), $"{width} bits, {tokens} tokens");
            }
        }
    }

    [TestCase(2)]
    [TestCase(20)]
    public void Equal_experts_tie_exactly_and_the_first_wins(int tokens)
    {
        using var tensors = new TestTensors(11, anyBits: 0);
        const int Inputs = 41, Outputs = 10;
        Matrix New(int rows, int columns) => Stored(tensors, ElementType.F32, rows, columns);
        Matrix gate = New(3, Inputs), same = New(3, Inputs), input = New(tokens, Inputs);
        Floats(gate).CopyTo(new Span<float>((void*)same.Data.Address, 3 * Inputs));
        Expert expert = new(New(Outputs, 2)) { Down = New(2, Inputs) };
        Expert[] experts = [expert with { Gate = gate }, expert with { Gate = same }];
        var layer = new GatedLinear(New(Outputs, Inputs), default, experts, 1);
        foreach (int width in Backends.Widths)
        {
            using var backend = new CpuBackend(width);
            using var team = new StreamTeam(backend, 1);
            var forward = new GatedForward(team);
            Forward(forward, layer, input);
            Assert.That(forward.Routing.Chosen.ToArray(), Is.All.Zero);
            Assert.That(forward.Routing.Weights.ToArray(), Is.All.EqualTo(1));
        }
    }

    [TestCase(1)]
    [TestCase(12)]
    public void A_router_of_scaled_expert_rows_scores_as_one_of_its_own_rows(int tokens)
    {
        using var tensors = new TestTensors(12, anyBits: 0);
        const int Inputs = 50, Outputs = 6, Rank = 4;
        float[] values = [16, 8, 4, 2];
        Matrix New(int rows, int columns) => Stored(tensors, ElementType.F32, rows, columns);
        Matrix gate = New(Rank, Inputs), down = New(Rank, Inputs), input = New(tokens, Inputs);
        for (int i = 0; i < Rank * Inputs; i++)
            ((float*)down.Data.Address)[i] = values[i / Inputs] * ((float*)gate.Data.Address)[i];
        Expert own = new(New(Outputs, Rank)) { Down = down, Gate = gate.SliceRows(0, 3) };
        Expert shared = own with { Gate = down.SliceRows(0, 3), GateScales = values[..3].Select(s => 1 / s).ToArray() };
        var layer = new GatedLinear(New(Outputs, Inputs), default, [own, shared], 1);
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 1);
        var forward = new GatedForward(team);
        Forward(forward, layer, input);
        foreach (float[] scores in forward.Routing.Scores.ToArray().Chunk(2))
            Assert.That(scores[1], Is.EqualTo(scores[0]));
    }

    [TestCase(3)]
    [TestCase(10)]
    public void NaN_stays_in_its_token(int tokens)
    {
        using var tensors = new TestTensors(13, anyBits: 0);
        GatedLinear layer = Layer(tensors, [tokens, 20, 30, 3, 4, 2, 1], ElementType.F32, ElementType.F32);
        Matrix input = Stored(tensors, ElementType.F32, tokens, layer.Inputs);
        ((float*)input.Data.Address)[layer.Inputs + 5] = float.NaN;
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 2);
        float[][] output = [.. Forward(new GatedForward(team), layer, input).Chunk(layer.Outputs)];
        for (int token = 0; token < tokens; token++)
            Assert.That(output[token].All(float.IsNaN), Is.EqualTo(token == 1), $"token {token}");
    }

    [Test]
    public void A_second_pass_uses_the_memory_of_the_first()
    {
        using var tensors = new TestTensors(14, anyBits: 0);
        GatedLinear layer = Layer(tensors, [20, 300, 400, 3, 40, 2, 2], ElementType.BF16, ElementType.BF16);
        Matrix input = Stored(tensors, ElementType.F32, 20, layer.Inputs);
        Matrix output = Stored(tensors, ElementType.F32, 20, layer.Outputs);
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 1);
        var forward = new GatedForward(team);
        forward.Run(layer, input, output);
        long before = GC.GetAllocatedBytesForCurrentThread();
        forward.Run(layer, input, output);

        // A team hands out three kernels.
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1024));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using var tensors = new TestTensors(15, anyBits: 0);
        Matrix New(int rows, int columns) => Stored(tensors, ElementType.F32, rows, columns);
        Expert good = new(New(6, 2)) { Down = New(2, 5), Gate = New(1, 5) };
        Matrix weights = New(6, 5);
        Assert.DoesNotThrow(() => _ = new GatedLinear(weights, default, [good, good], 2));
        foreach (Expert bad in new[]
        {
            good with { Up = New(5, 2) }, good with { Down = New(3, 5) }, good with { Down = New(2, 4) },
            good with { Down = default }, good with { Gate = New(1, 6) }, good with { GateScales = new float[2] },
            good with { Up = New(2, 6).Transposed },
        })
            Assert.That(() => _ = new GatedLinear(weights, default, [good, bad], 1), Throws.InstanceOf<ArgumentException>());
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new GatedLinear(weights, default, [good], 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new GatedLinear(weights, default, [good], 0));

        var layer = new GatedLinear(weights, default, [good], 1);
        using var team = new StreamTeam(Backends.Reference, 1);
        var forward = new GatedForward(team);
        Assert.Throws<ArgumentOutOfRangeException>(() => forward.Run(layer, New(1, 4), New(1, 6)));
        Assert.Throws<ArgumentOutOfRangeException>(() => forward.Run(layer, New(1, 5), New(2, 6)));
        Assert.Throws<ArgumentException>(
            () => forward.Run(layer, Stored(tensors, ElementType.BF16, 1, 5), New(1, 6)));
    }

    private static Matrix Stored(TestTensors tensors, ElementType type, int rows, int columns, int slack = 0) =>
        new(tensors.New(type, rows * columns, slack), rows, columns);

    private static GatedLinear Layer(
        TestTensors tensors, int[] shape, ElementType weights, ElementType experts, int slack = 0)
    {
        int outputs = shape[1], inputs = shape[2], rank = shape[4];
        return new GatedLinear(
            Stored(tensors, weights, outputs, inputs, slack),
            tensors.New(weights, outputs, slack),
            [.. Enumerable.Range(0, shape[3]).Select(_ => new Expert(Stored(tensors, experts, outputs, rank, slack))
            {
                Down = Stored(tensors, experts, rank, inputs, slack),
                Gate = Stored(tensors, experts, shape[5], inputs, slack),
                Bias = tensors.New(experts, outputs, slack),
            })],
            shape[6]);
    }

    private static float[] Forward(GatedForward forward, GatedLinear layer, Matrix input)
    {
        using var memory = new GuardedMemory(input.Rows * layer.Outputs * sizeof(float));
        memory.Span.Fill(0xFF);
        forward.Run(layer, input, new Matrix(new(ElementType.F32, memory.Address), input.Rows, layer.Outputs));
        return new Span<float>(memory.Address, input.Rows * layer.Outputs).ToArray();
    }

    /// <summary>
    /// Kernel by kernel, each on what the reference's kernels before it gave: the routing of the one is the routing of
    /// the other. Bounds are the contract's, with the largest elements in the place of each.
    /// </summary>
    private static void Compare(
        TestTensors tensors, GatedLinear layer, string backend, int tokens, Action? prepared = null)
    {
        const double Epsilon = 1.0 / (1 << 24);
        Matrix input = Stored(tensors, ElementType.F32, tokens, layer.Inputs);
        Matrix expected = Stored(tensors, ElementType.F32, tokens, layer.Outputs);
        Matrix actual = Stored(tensors, ElementType.F32, tokens, layer.Outputs);
        prepared?.Invoke();
        Expert[] experts = layer.Experts.ToArray();
        double size = layer.Inputs * Largest(input);
        using var reference = new ReferenceBackend().OpenStream();
        using var stream = Backends.Open(backend);
        var routing = new Routing();
        routing.Prepare(layer, tokens);
        if (experts.Length > 1)
        {
            float[] scores = Scores(stream), references = Scores(reference);
            double score = size * experts.Max(e => Largest(e.Gate) * Math.Sqrt(e.Gate.Rows));
            Assert.That(scores, Is.EqualTo(references).Within(2 * Epsilon * (layer.Inputs + 1) * score));
        }

        routing.Choose();
        int[] halves = [0, layer.InnerWidth / 2, layer.InnerWidth];
        for (int i = 0; i < 2; i++)
            stream.Shrink(layer, input, routing, halves[i], halves[i + 1] - halves[i]);
        float[] inner = Inner(layer, routing);
        reference.Shrink(layer, input, routing, 0, layer.InnerWidth);
        double innerSize = experts.Select(e => e.IsDense ? Largest(input) : size * Largest(e.Down)).Append(0).Max();
        Assert.That(
            inner, Is.EqualTo(Inner(layer, routing)).Within(2 * Epsilon * (layer.Inputs + 1) * innerSize));

        int third = layer.Outputs / 3;
        stream.Expand(layer, input, routing, 0, third, actual);
        stream.Expand(layer, input, routing, third, layer.Outputs - third, actual);
        reference.Expand(layer, input, routing, 0, layer.Outputs, expected);
        int terms = layer.Inputs + (layer.TopK * (layer.InnerWidth + 1)) + 1;
        double up = experts.Select(e => Largest(e.Up)).Append(0).Max() * layer.InnerWidth * innerSize;
        double bias = experts.Select(e => Largest(e.Bias, layer.Outputs)).Append(0).Max();
        double output = (size * Largest(layer.Weights)) + Largest(layer.Bias, layer.Outputs) + up + bias;
        Assert.That(Floats(actual), Is.EqualTo(Floats(expected)).Within(2 * Epsilon * terms * output));

        float[] Scores(IKernelStream kernels)
        {
            for (int expert = 0; expert < layer.Experts.Length; expert++)
                kernels.Score(layer, input, expert, routing);
            return routing.Scores.ToArray();
        }
    }

    // What kernels fill: a row of an expert of smaller rank ends earlier.
    private static float[] Inner(GatedLinear layer, Routing routing)
    {
        var values = new List<float>();
        for (int i = 0; i < routing.Order.Length; i++)
        {
            int rank = layer.Experts[routing.Chosen[routing.Order[i]]].Rank;
            values.AddRange(Floats(routing.Inner.Slice(i, 0, 1, rank)));
        }

        return [.. values];
    }

    private static float[] Floats(Matrix matrix) => matrix.Rows == 0 || matrix.Columns == 0
        ? []
        : new Span<float>((void*)matrix.Data.Address, matrix.Rows * matrix.Columns).ToArray();

    private static double Largest(Matrix matrix) => Largest(matrix.Data, matrix.Rows * matrix.Columns);

    private static double Largest(Operand elements, int count) => !elements.Exists
        ? 0
        : Enumerable.Range(0, count).Max(i => (double?)Math.Abs(Element.Read(elements, i))) ?? 0;
}
