using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using FusionKernels.Models;
using FusionKernels.Models.Lora;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Adapters of PEFT against its formulas, computed slowly in double, and all that is refused.</summary>
internal sealed class LoraTests
{
    private const string Module = "model.layers.0.self_attn.q_proj";
    private const string Scale2 = """{"r": 3, "lora_alpha": 6}""";
    private const int Out = 6, In = 70, Rank = 3;
    private readonly Random _random = new(21);

    [TestCase("""{"r": 3, "lora_alpha": 6}""", 2)]
    [TestCase("""{"r": 3, "lora_alpha": 6, "use_rslora": true}""", 3.4641016)]
    [TestCase("""{"r": 8, "lora_alpha": 6, "rank_pattern": {"q_proj": 3}}""", 2)]
    [TestCase("""{"r": 3, "lora_alpha": 1, "alpha_pattern": {"k": 5, "self_attn.q_proj": 6, "q_proj": 7}}""", 2)]
    [TestCase("""{"r": 3, "lora_alpha": 1, "alpha_pattern": {"layers\\.[0-4]\\..*_proj": 6}}""", 2)]
    [TestCase("""{"r": 3, "lora_alpha": 6, "alpha_pattern": {"proj": 9, "_attn": 9, "q_projx": 9}}""", 2)]
    public void The_weight_is_W_plus_the_scaled_product(string config, double scale)
    {
        float[] w = Values(Out * In), a = Values(Rank * In), b = Values(Out * Rank);
        using var model = Apply(config, [F32($"{Module}.weight", [Out, In], w)], Pair(a, b));
        Assert.That(Floats(model, $"{Module}.weight"), Is.EqualTo(Sum(w, b, a, scale)).Within(1e-5));
    }

    [Test]
    public void Any_range_of_a_tensor_has_the_bits_of_the_whole()
    {
        var weight = ToyModels.BF16($"{Module}.weight", [Out, In], Values(Out * In));
        using var model = Apply(Scale2, [weight], Pair(Values(Rank * In), Values(Out * Rank)));
        byte[] whole = Bytes(model, $"{Module}.weight");
        for (int cut = 0; cut < whole.Length; cut += 2)
        {
            byte[] first = Bytes(model, $"{Module}.weight", 0, cut);
            byte[] rest = Bytes(model, $"{Module}.weight", cut, whole.Length - cut);
            Assert.That(first.Concat(rest), Is.EqualTo(whole), $"cut at byte {cut}");
        }
    }

    [Test]
    public void The_sum_is_rounded_once_to_the_model_s_dtype()
    {
        float[] a = Values(Rank * In), b = Values(Out * Rank);
        var weight = ToyModels.BF16($"{Module}.weight", [Out, In], Values(Out * In));
        float[] w = Widened(weight.Bytes);
        using var model = Apply(Scale2, [weight], Pair(a, b));
        double[] expected = Sum(w, b, a, 2);
        float[] actual = Widened(Bytes(model, $"{Module}.weight"));
        for (int i = 0; i < actual.Length; i++)
        {
            double halfUnit = Math.Abs(expected[i]) / 256; // of bf16, whose mantissa has 8 bits
            Assert.That(actual[i], Is.EqualTo(expected[i]).Within(halfUnit + 1e-6), $"element {i}");
        }
    }

    [Test]
    public void Embeddings_and_fan_in_fan_out_are_transposed()
    {
        const int Tokens = 9, Width = 5;
        float[] w = Values(Tokens * Width), a = Values(Rank * Tokens), b = Values(Width * Rank);
        double[] expected = new double[w.Length];
        for (int i = 0; i < w.Length; i++)
        {
            for (int k = 0; k < Rank; k++)
                expected[i] += (double)a[(k * Tokens) + (i / Width)] * b[(i % Width * Rank) + k];
            expected[i] = w[i] + (2 * expected[i]);
        }

        using var embedding = Apply(
            Scale2,
            [F32("embed.weight", [Tokens, Width], w)],
            [Part("embed.lora_embedding_A", [Rank, Tokens], a), Part("embed.lora_embedding_B", [Width, Rank], b)]);
        Assert.That(Floats(embedding, "embed.weight"), Is.EqualTo(expected).Within(1e-5));

        using var convolution1D = Apply(
            """{"r": 3, "lora_alpha": 6, "fan_in_fan_out": true}""",
            [F32("c_attn.weight", [Tokens, Width], w)],
            [Part("c_attn.lora_A.weight", [Rank, Tokens], a), Part("c_attn.lora_B.weight", [Width, Rank], b)]);
        Assert.That(Floats(convolution1D, "c_attn.weight"), Is.EqualTo(expected).Within(1e-5));
    }

    [Test]
    public void A_convolution_is_a_matrix_of_its_flattened_kernels()
    {
        float[] w = Values(Out * In), a = Values(Rank * In), b = Values(Out * Rank);
        using var model = Apply(
            Scale2,
            [F32($"{Module}.weight", [Out, 7, 5, 2], w)],
            [
                Part($"{Module}.lora_A.weight", [Rank, 7, 5, 2], a),
                Part($"{Module}.lora_B.weight", [Out, Rank, 1, 1], b),
            ]);
        Assert.That(Floats(model, $"{Module}.weight"), Is.EqualTo(Sum(w, b, a, 2)).Within(1e-5));
    }

    [Test]
    public void A_bias_gets_its_scaled_update_and_a_trained_one_replaces_it()
    {
        float[] w = Values(Out * In), bias = Values(Out), update = Values(Out), other = Values(Out);
        MemoryTensor[] stored = [F32($"{Module}.weight", [Out, In], w), F32($"{Module}.bias", [Out], bias)];
        MemoryTensor[] pair = Pair(Values(Rank * In), Values(Out * Rank));
        using var updated = Apply(
            """{"r": 3, "lora_alpha": 6, "lora_bias": true}""",
            stored,
            [.. pair, Part($"{Module}.lora_B.bias", [Out], update)]);
        Assert.That(Floats(updated, $"{Module}.bias"), Is.EqualTo(bias.Zip(update, (x, u) => x + (2f * u))));

        using var replaced = Apply(
            """{"r": 3, "lora_alpha": 6, "bias": "all"}""",
            stored,
            [.. pair, Part($"{Module}.base_layer.bias", [Out], other)]);
        Assert.That(Floats(replaced, $"{Module}.bias"), Is.EqualTo(other));
    }

    [TestCase("lm_head.weight")]
    [TestCase("lm_head.modules_to_save.weight")]
    public void A_saved_module_replaces_the_model_s_in_its_dtype(string name)
    {
        var head = ToyModels.BF16("lm_head.weight", [100, 100], Values(10_000));
        float[] values = Widened(ToyModels.BF16("saved", [100, 100], Values(10_000)).Bytes);
        using var model = Apply(Scale2, [head], [Part(name, [100, 100], values)]);
        Assert.That(model.TryGet("lm_head.weight", out var tensor) && tensor.Dtype == Dtype.BF16);
        Assert.That(Widened(Bytes(model, "lm_head.weight")), Is.EqualTo(values));
        byte[] whole = Bytes(model, "lm_head.weight");
        Assert.That(Bytes(model, "lm_head.weight", 9_002, 10_000), Is.EqualTo(whole[9_002..19_002]));
    }

    [Test]
    public void A_saved_module_may_have_an_update_of_its_own()
    {
        float[] saved = Values(Out * In), a = Values(Rank * In), b = Values(Out * Rank);
        using var model = Apply(
            Scale2,
            [F32($"{Module}.weight", [Out, In], Values(Out * In))],
            [.. Pair(a, b), Part($"{Module}.base_layer.weight", [Out, In], saved)]);
        Assert.That(Floats(model, $"{Module}.weight"), Is.EqualTo(Sum(saved, b, a, 2)).Within(1e-5));
    }

    [TestCase("lora_magnitude_vector")]
    [TestCase("lora_magnitude_vector.weight")]
    public void DoRA_scales_each_row_to_its_magnitude(string name)
    {
        float[] w = Values(Out * In), a = Values(Rank * In), b = Values(Out * Rank);
        float[] magnitudes = [.. Values(Out).Select(Math.Abs)];
        using var model = Apply(
            """{"r": 3, "lora_alpha": 6, "use_dora": true}""",
            [F32($"{Module}.weight", [Out, In], w)],
            [.. Pair(a, b), Part($"{Module}.{name}", [Out], magnitudes)]);
        double[] sum = Sum(w, b, a, 2);
        for (int row = 0; row < Out; row++)
        {
            double norm = Math.Sqrt(sum[(row * In)..((row + 1) * In)].Sum(v => v * v));
            for (int i = row * In; i < (row + 1) * In; i++)
                sum[i] *= magnitudes[row] / norm;
        }

        Assert.That(Floats(model, $"{Module}.weight"), Is.EqualTo(sum).Within(1e-5));
    }

    [Test]
    public void Rank_zero_updates_nothing()
    {
        var weight = F32($"{Module}.weight", [Out, In], Values(Out * In));
        const string Zero = """{"r": 2, "lora_alpha": 2, "rank_pattern": {"q_proj": 0}, "alpha_pattern": {"q_proj": 0}}""";
        using var model = Apply(Zero, [weight], Pair([], []));
        Assert.That(Bytes(model, weight.Name), Is.EqualTo(weight.Bytes));
    }

    [TestCase("""{"peft_type": "IA3"}""", "peft_type")]
    [TestCase("""{"peft_type": null}""", "peft_type")]
    [TestCase("""{"lora_alpha": null}""", "'lora_alpha' is missing")]
    [TestCase("""{"r": "3"}""", "'r' is not a number")]
    [TestCase("""{"r": 4}""", "has rank 3")]
    [TestCase("""{"use_rslora": 1}""", "use_rslora")]
    [TestCase("""{"use_dora": true}""", "without lora_magnitude_vector")]
    [TestCase("""{"layer_replication": [[0, 2]]}""", "layer_replication")]
    [TestCase("""{"target_parameters": ["x"]}""", "target_parameters")]
    [TestCase("""{"init_lora_weights": "pissa"}""", "init_lora_weights: pissa")]
    [TestCase("""{"rank_pattern": []}""", "rank_pattern")]
    [TestCase("""{"rank_pattern": {"(": 3}}""", "no regular expression")]
    [TestCase("""{"alpha_pattern": {"(?=q)": 3}}""", "no regular expression")]
    [TestCase("""{"fan_in_fan_out": true}""", "gives [70, 6]")]
    public void A_configuration_that_says_something_else_is_refused(string change, string message)
    {
        var json = JsonNode.Parse("""{"peft_type": "LORA", "r": 3, "lora_alpha": 6}""")!.AsObject();
        foreach (var (key, value) in JsonNode.Parse(change)!.AsObject())
            json[key] = value?.DeepClone();
        Assert.That(Refusal(json.ToJsonString(), []), Does.Contain(message));
    }

    [TestCase("q_proj.lora_A.weight", new long[] { Rank, In }, "does not begin with")]
    [TestCase("base_model.model.other.lora_A.weight", new long[] { Rank, In }, "no tensor other.weight")]
    [TestCase("base_model.model.other.weight", new long[] { Rank, In }, "no tensor other.weight")]
    [TestCase($"base_model.model.{Module}.lora_C.weight", new long[] { Rank, In }, "lora_C.weight")]
    [TestCase($"base_model.model.{Module}.lora_B.bias", new long[] { Out }, $"no tensor {Module}.bias")]
    [TestCase($"base_model.model.{Module}.lora_magnitude_vector", new long[] { Out }, "without 'use_dora'")]
    [TestCase($"base_model.model.{Module}.lora_embedding_A", new long[] { Rank, In }, "already")]
    [TestCase($"base_model.model.norm.lora_A.weight", new long[] { Rank, In }, "not both there")]
    [TestCase($"base_model.model.norm.weight", new long[] { 3 }, "gives [3]")]
    [TestCase($"base_model.model.ids.weight", new long[] { 2 }, "I64")]
    public void A_tensor_that_fits_nothing_is_refused_by_name(string name, long[] shape, string message)
    {
        float[] values = Values((int)shape.Aggregate((x, y) => x * y));
        string refusal = Refusal(Scale2, [F32(name, shape, values)]);
        Assert.That(refusal, Does.Contain(message).And.Contain(name.Split(".lora_magnitude")[0]));
    }

    // The refusal of the usual pair and further tensors.
    private string Refusal(string config, MemoryTensor[] further)
    {
        MemoryTensor[] model =
        [
            F32($"{Module}.weight", [Out, In], Values(Out * In)),
            F32("norm.weight", [2], [1, 2]),
            new MemoryTensor("ids.weight", Dtype.I64, [2], new byte[16]),
        ];
        MemoryTensor[] adapter = [.. Pair(Values(Rank * In), Values(Out * Rank)), .. further];
        return Assert.Throws<MergeException>(() => Apply(config, model, adapter))!.Message;
    }

    private static LoraModel Apply(string config, MemoryTensor[] model, MemoryTensor[] adapter)
    {
        if (!config.Contains("peft_type", StringComparison.Ordinal))
            config = """{"peft_type": "LORA", """ + config[1..];
        var parsed = LoraConfig.Parse(Encoding.UTF8.GetBytes(config), "/memory/adapter/adapter_config.json");
        return new LoraModel(
            new StoredModel(InMemoryMerge.Checkpoint("base", model)),
            new LoraAdapter(InMemoryMerge.Checkpoint("adapter", adapter), parsed));
    }

    private static MemoryTensor[] Pair(float[] a, float[] b) =>
    [
        Part($"{Module}.lora_A.weight", [a.Length / In, In], a),
        Part($"{Module}.lora_B.weight", [Out, b.Length / Out], b),
    ];

    // A tensor of an adapter.
    private static MemoryTensor Part(string name, long[] shape, float[] values) =>
        F32("base_model.model." + name, shape, values);

    private static MemoryTensor F32(string name, long[] shape, float[] values) => ToyModels.F32(name, shape, values);

    // W + s * B A, in double.
    private static double[] Sum(float[] w, float[] b, float[] a, double scale) => [.. w.Select((x, i) =>
        x + (scale * Enumerable.Range(0, Rank).Sum(k => (double)b[(i / In * Rank) + k] * a[(k * In) + (i % In)])))];

    private static float[] Floats(LoraModel model, string name) =>
        MemoryMarshal.Cast<byte, float>(Bytes(model, name)).ToArray();

    private static float[] Widened(byte[] bf16) =>
        Array.ConvertAll(
            MemoryMarshal.Cast<byte, ushort>(bf16).ToArray(), bits => BitConverter.UInt32BitsToSingle((uint)bits << 16));

    private static unsafe byte[] Bytes(LoraModel model, string name, int offset = 0, int? length = null)
    {
        Assert.That(model.TryGet(name, out var tensor));
        byte[] scratch = new byte[length ?? (int)tensor!.ByteLength];
        fixed (byte* room = scratch)
        {
            byte* bytes = tensor!.Fetch(offset, scratch.Length, room);
            return new ReadOnlySpan<byte>(bytes, scratch.Length).ToArray();
        }
    }

    private float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => (_random.NextSingle() - 0.5f) / 4)];
}
