using FusionKernels.Safetensors;
using FusionKernels.Smile;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>SMILE checkpoints: both layouts, what may be missing, and what is refused.</summary>
public class SmileTests
{
    private const int Outputs = 6, Inputs = 10, Rank = 3, RouterRank = 2;
    private static readonly string[] s_layouts = ["causal", "module", "unnamed module"];

    [TestCaseSource(nameof(s_layouts))]
    public void Every_layout_computes_the_formula(string layout)
    {
        using var model = new TestModel(Tensors(layout, experts: 3));
        using var smile = SmileModel.Open(model.Path, new() { ExpertsPerToken = 2, Threads = 2 });
        SmileLinear layer = smile.Layers.Single();
        Assert.That(layer.Name, Is.EqualTo(layout == "unnamed module" ? "" : "block.proj"));
        Assert.That((layer.Inputs, layer.Outputs, layer.Experts), Is.EqualTo((Inputs, Outputs, 3)));
        foreach (int tokens in new[] { 1, 4, 15 })
            AssertForward(layer, model, tokens, topK: 2);
    }

    [Test]
    public void Dense_experts_compute_the_formula([Values(1, 3)] int experts, [Values(2, 15)] int tokens)
    {
        using var model = new TestModel(Tensors("causal", experts, dense: true));
        using var smile = SmileModel.Open(model.Path);
        AssertForward(smile.Layers.Single(), model, tokens, topK: 1);
    }

    [Test]
    public void Files_that_are_read_give_the_bits_of_mapped_ones()
    {
        using var model = new TestModel(Tensors("causal", experts: 2));
        float[] x = Input(5), mapped = new float[5 * Outputs], read = new float[5 * Outputs];
        using (var smile = SmileModel.Open(model.Path, new() { Files = new() { Access = SourceAccess.Map } }))
            smile.Layers[0].Forward(x, 5, mapped);
        using (var smile = SmileModel.Open(model.Path, new() { Files = new() { Access = SourceAccess.Read } }))
            smile.Layers[0].Forward(x, 5, read);
        Assert.That(read, Is.EqualTo(mapped));
    }

    [Test]
    public void A_router_may_be_made_of_the_experts_rows()
    {
        // Rows of svh are the gate's, of length 1, times 3, 2 and 0.
        MemoryTensor[] tensors = Tensors("causal", experts: 2);
        float[] gate = [.. Named(tensors, "gate.weight").Floats().Chunk(Inputs)
            .SelectMany(row => row.Select(v => v / MathF.Sqrt(row.Sum(e => e * e))))];
        for (int i = 0; i < 2; i++)
        {
            float[] rows = gate[(i * RouterRank * Inputs)..((i + 1) * RouterRank * Inputs)];
            float[] svh = [.. rows.Select((v, j) => v * (j < Inputs ? 3 : 2)), .. new float[Inputs]];
            Replace(tensors, $"experts.{i}.svh", svh);
        }

        Replace(tensors, "gate.weight", gate);
        using var own = new TestModel(tensors);
        using var shared = new TestModel(
            [.. tensors.Where(t => !t.Name.Contains(".gate.", StringComparison.Ordinal))],
            """{"rank_of_router": 2}""");
        using var expected = SmileModel.Open(own.Path);
        using var actual = SmileModel.Open(shared.Path);
        float[] x = Input(20), y = new float[20 * Outputs], z = new float[20 * Outputs];
        expected.Layers[0].Forward(x, 20, y);
        actual.Layers[0].Forward(x, 20, z);
        Assert.That(z, Is.EqualTo(y).Within(1e-5));
    }

    [Test]
    public void Config_says_how_many_experts_a_token_has()
    {
        using var model = new TestModel(
            Tensors("causal", experts: 3), """{"num_experts_per_tok": 3, "num_local_experts": 3}""");
        using var smile = SmileModel.Open(model.Path);
        AssertForward(smile.Layers.Single(), model, tokens: 2, topK: 3);
    }

    [Test]
    public void A_golden_model_lists_layers_with_experts_and_plain_ones()
    {
        string file = Path.Combine(GoldenFolder.Shipped, "kernels", "smile_model_expected.safetensors");
        using var smile = SmileModel.Open(file);
        string[] plain = [.. smile.Layers.Where(l => l.Experts == 0).Select(l => l.Name)];
        Assert.That(
            plain,
            Is.EqualTo(new[] { "lm_head", "model.embed_tokens", "model.layers.1.self_attn.k_proj" }));
        var ranks = smile.Layers.Where(l => l.Experts == 2).Select(l => l.Layer.InnerWidth);
        Assert.That(ranks, Is.EqualTo(Enumerable.Repeat(4, 13)));
        Assert.That(smile.TryGet("lm_head", out SmileLinear? head));
        float[] x = new float[16], y = new float[20];
        x[3] = 1;
        head!.Forward(x, 1, y);
        double[] weights = GoldenFile.Open(file)["lm_head.weight"].Values;
        Assert.That(y, Is.EqualTo(Enumerable.Range(0, 20).Select(i => weights[(i * 16) + 3])));
    }

    [TestCase("experts.0.u", "has no block.proj.experts.0.u or .weight beside it")]
    [TestCase("experts.1.u", "has no place in its SMILE layer")]
    [TestCase("experts.1.svh", "has no block.proj.experts.1.svh beside it")]
    [TestCase("experts.1.bias", "but no block.proj.experts.1.bias")]
    [TestCase("gate.weight", "nothing says how many rows of svh are the router's")]
    public void A_missing_tensor_is_refused_by_name(string missing, string rule)
    {
        using var model = new TestModel(
            [.. Tensors("causal", experts: 2).Where(t => !t.Name.EndsWith("." + missing, StringComparison.Ordinal))]);
        var refusal = Assert.Throws<MergeException>(() => SmileModel.Open(model.Path))!;
        Assert.That(refusal.Message, Does.Contain(rule).And.Contain("block.proj").And.Contain("model.safetensors"));
    }

    [TestCase("shared_linear.weight", Outputs * Inputs)]
    [TestCase("experts.0.u", Outputs, Rank + 1)]
    [TestCase("experts.1.svh", Rank, Inputs + 1)]
    [TestCase("experts.1.bias", Outputs + 1)]
    [TestCase("gate.weight", 5, Inputs)]
    [TestCase("gate.weight", 4, Inputs - 1)]
    public void A_shape_that_does_not_fit_is_refused_by_name(string name, params int[] shape)
    {
        MemoryTensor[] tensors = Tensors("causal", experts: 2);
        int at = Array.FindIndex(tensors, t => t.Name.EndsWith("." + name, StringComparison.Ordinal));
        long[] dimensions = [.. shape.Select(n => (long)n)];
        tensors[at] = ToyModels.F32(tensors[at].Name, dimensions, new float[shape.Aggregate((a, b) => a * b)]);
        using var model = new TestModel(tensors);
        var refusal = Assert.Throws<MergeException>(() => SmileModel.Open(model.Path))!;
        Assert.That(refusal.Message, Does.Contain($"'block.proj.{(name == "experts.0.u" ? "experts.0.svh" : name)}'"));
    }

    [TestCase("""{"num_experts_per_tok": 3}""", "2 experts, 3 per token")]
    [TestCase("""{"num_local_experts": 4}""", "config.json says 4")]
    [TestCase("""{"num_experts_per_tok": "two"}""", "num_experts_per_tok is no positive integer")]
    [TestCase("[]", "no JSON object")]
    public void A_config_that_does_not_fit_is_refused(string config, string rule)
    {
        using var model = new TestModel(Tensors("causal", experts: 2), config);
        Assert.That(() => SmileModel.Open(model.Path), Throws.TypeOf<MergeException>().With.Message.Contains(rule));
    }

    [Test]
    public void Wrong_lengths_overlaps_and_disposed_models_are_refused()
    {
        using var model = new TestModel(Tensors("causal", experts: 2));
        SmileLinear layer;
        using (var smile = SmileModel.Open(model.Path))
        {
            layer = smile.Layers[0];
            var memory = new float[Inputs + Outputs];
            Assert.Throws<ArgumentOutOfRangeException>(() => layer.Forward(memory, 1, new float[Outputs]));
            Assert.Throws<ArgumentOutOfRangeException>(() => layer.Forward(new float[Inputs], 1, memory));
            Assert.Throws<ArgumentException>(
                () => layer.Forward(memory.AsSpan(0, Inputs), 1, memory.AsSpan(Outputs - 1, Outputs)));
            Assert.DoesNotThrow(() => layer.Forward(memory.AsSpan(0, Inputs), 1, memory.AsSpan(Inputs)));
            Assert.DoesNotThrow(() => layer.Forward([], 0, []));
        }

        Assert.Throws<ObjectDisposedException>(() => layer.Forward(new float[Inputs], 1, new float[Outputs]));
    }

    private static float[] Input(int tokens) => Values(new Random(tokens), tokens * Inputs);

    private static float[] Values(Random random, long count) =>
        [.. Enumerable.Range(0, (int)count).Select(_ => (random.NextSingle() * 2) - 1)];

    /// <summary>A layer of random tensors, biases included.</summary>
    private static MemoryTensor[] Tensors(string layout, int experts, bool dense = false)
    {
        var random = new Random(experts);
        (string prefix, string shared, string gate) = layout switch
        {
            "causal" => ("block.proj.", "shared_linear", "gate.weight"),
            "module" => ("block.proj.", "pretrained_model", "gate.weights"),
            _ => ("", "pretrained_model", "gate.weights"),
        };
        return
        [
            New($"{prefix}{shared}.weight", Outputs, Inputs),
            New($"{prefix}{shared}.bias", Outputs),
            New(prefix + gate, experts * RouterRank, Inputs),
            .. Enumerable.Range(0, experts).SelectMany(i => new[]
            {
                New($"{prefix}experts.{i}.bias", Outputs),
                dense
                    ? New($"{prefix}experts.{i}.weight", Outputs, Inputs)
                    : New($"{prefix}experts.{i}.u", Outputs, Rank),
            }),
            .. Enumerable.Range(0, dense ? 0 : experts).Select(i => New($"{prefix}experts.{i}.svh", Rank, Inputs)),
        ];

        MemoryTensor New(string name, params long[] shape) =>
            ToyModels.F32(name, shape, Values(random, shape.Aggregate((a, b) => a * b)));
    }

    private static MemoryTensor Named(MemoryTensor[] tensors, string ending) =>
        tensors.Single(t => t.Name.EndsWith(ending, StringComparison.Ordinal));

    private static void Replace(MemoryTensor[] tensors, string ending, float[] values)
    {
        MemoryTensor old = Named(tensors, ending);
        tensors[Array.IndexOf(tensors, old)] = ToyModels.F32(old.Name, old.Shape, values);
    }

    // The formula token by token, in doubles.
    private static void AssertForward(SmileLinear layer, TestModel model, int tokens, int topK)
    {
        float[] x = Input(tokens), y = new float[tokens * Outputs];
        layer.Forward(x, tokens, y);
        for (int token = 0; token < tokens; token++)
        {
            double[] input = [.. x.Skip(token * Inputs).Take(Inputs).Select(v => (double)v)];
            double[] expected = Add(Times(model.Shared("weight"), input), model.Shared("bias"), 1);
            double[] exponentials = [.. Times(model.Gate, input).Chunk(RouterRank)
                .Select(z => layer.Experts == 1 ? 1 : Math.Exp(Math.Sqrt(z.Sum(v => v * v))))];
            int[] chosen = [.. Enumerable.Range(0, layer.Experts).OrderByDescending(i => exponentials[i]).Take(topK)];
            foreach (int i in chosen)
            {
                double weight = exponentials[i] / chosen.Sum(c => exponentials[c]);
                double[] output = model.Has($"experts.{i}.u")
                    ? Times(model[$"experts.{i}.u"], Times(model[$"experts.{i}.svh"], input))
                    : Times(model[$"experts.{i}.weight"], input);
                expected = Add(Add(expected, output, weight), model[$"experts.{i}.bias"], weight);
            }

            Assert.That(y.Skip(token * Outputs).Take(Outputs), Is.EqualTo(expected).Within(2e-5), $"token {token}");
        }

        static double[] Times(double[] matrix, double[] vector) =>
            [.. matrix.Chunk(vector.Length).Select(row => row.Zip(vector, (a, b) => a * b).Sum())];

        static double[] Add(double[] sum, IEnumerable<double> values, double factor) =>
            [.. sum.Zip(values, (a, b) => a + (factor * b))];
    }

    /// <summary>A layer on disk, and its tensors.</summary>
    private sealed class TestModel : IDisposable
    {
        private readonly TemporaryModels _folder;
        private readonly MemoryTensor[] _tensors;

        public TestModel(MemoryTensor[] tensors, string? config = null)
        {
            _tensors = tensors;
            _folder = new(new Dictionary<string, MemoryTensor[]> { ["model"] = tensors });
            if (config is not null)
                _folder.Write("model", "config.json", config);
        }

        public string Path => _folder["model"];

        public double[] Gate =>
            Values(_tensors.Single(t => t.Name.Contains("gate.weight", StringComparison.Ordinal)));

        public double[] this[string ending] => Values(Named(_tensors, ending));

        public bool Has(string ending) => _tensors.Any(t => t.Name.EndsWith(ending, StringComparison.Ordinal));

        public double[] Shared(string part) => Has($"shared_linear.{part}")
            ? this[$"shared_linear.{part}"]
            : this[$"pretrained_model.{part}"];

        public void Dispose() => _folder.Dispose();

        private static double[] Values(MemoryTensor tensor) => Array.ConvertAll(tensor.Floats(), v => (double)v);
    }
}
