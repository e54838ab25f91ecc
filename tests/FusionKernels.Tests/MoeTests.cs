using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Mixtures of experts put together from small dense models.</summary>
public sealed class MoeTests : IDisposable
{
    private const string One = "base_model: base\nexperts: [{source_model: m0}]\n";
    private const string Two =
        "base_model: base\nexperts: [{source_model: m0}, {source_model: m1}]\ngate_mode: random\n";

    private const string Shared = "shared_experts: [{source_model: m2";
    private const string Layer = "model.layers.1.";
    private readonly TemporaryModels _models = new(ToyModels.Family(3, [.. Dense()]));
    private readonly Dictionary<string, MemoryTensor[]> _stored = ToyModels.Family(3, [.. Dense()]);

    [SetUp]
    public void AllAreLlama() => Types("llama");

    public void Dispose() => _models.Dispose();

    private static IEnumerable<(string, long[])> Dense(int layers = 2)
    {
        yield return ("model.embed_tokens.weight", [10, 6]);
        yield return ("model.norm.weight", [6]);
        for (int layer = 0; layer < layers; layer++)
        {
            yield return ($"model.layers.{layer}.input_layernorm.weight", [6]);
            yield return ($"model.layers.{layer}.self_attn.q_proj.weight", [6, 6]);
            yield return ($"model.layers.{layer}.mlp.gate_proj.weight", [20, 6]);
            yield return ($"model.layers.{layer}.mlp.up_proj.weight", [20, 6]);
            yield return ($"model.layers.{layer}.mlp.down_proj.weight", [6, 20]);
        }
    }

    [Test]
    public async Task Fused_experts_lie_one_after_the_other_gate_before_up()
    {
        await Run(Two);
        string[] models = ["m0", "m1"];
        var gateUp = models.SelectMany(m => Stored(m, "gate_proj").Concat(Stored(m, "up_proj")));
        Assert.That(Bytes(Layer + "mlp.experts.gate_up_proj", [2, 40, 6]), Is.EqualTo(gateUp));
        var down = models.SelectMany(m => Stored(m, "down_proj"));
        Assert.That(Bytes(Layer + "mlp.experts.down_proj", [2, 6, 20]), Is.EqualTo(down));
        var norm = _stored["base"].Single(t => t.Name == "model.norm.weight");
        Assert.That(Bytes("model.norm.weight", [6]), Is.EqualTo(norm.Bytes));
        Assert.That(Config()["num_local_experts"]!.GetValue<int>(), Is.EqualTo(2));
    }

    [Test]
    public async Task Deepseek_has_an_expert_a_tensor_and_a_shared_one_without_a_gate()
    {
        await Run(Two + Shared + "}]\nexperts_per_token: 1");
        Assert.That(Bytes(Layer + "mlp.experts.1.up_proj.weight", [20, 6]), Is.EqualTo(Stored("m1", "up_proj")));
        byte[] shared = Bytes(Layer + "mlp.shared_experts.down_proj.weight", [6, 20]);
        Assert.That(shared, Is.EqualTo(Stored("m2", "down_proj")));
        Assert.That(Names(), Has.None.Contains("shared_expert_gate"));
        Assert.That(Config()["model_type"]!.ToString(), Is.EqualTo("deepseek"));
        Assert.That(Config()["n_shared_experts"]!.GetValue<int>(), Is.EqualTo(1));
    }

    [Test]
    public async Task Qwen2_has_a_gated_shared_expert_and_biases_where_the_base_has_none()
    {
        await Run(Two + Shared + ", positive_prompts: [x]}]");
        byte[] shared = Bytes(Layer + "mlp.shared_expert.gate_proj.weight", [20, 6]);
        Assert.That(shared, Is.EqualTo(Stored("m2", "gate_proj")));
        Assert.That(Bytes(Layer + "mlp.shared_expert_gate.weight", [1, 6]), Has.Some.Not.Zero);
        Assert.That(Bytes(Layer + "self_attn.q_proj.bias", [6]), Is.All.Zero);
        Assert.That(Config()["architectures"]![0]!.ToString(), Is.EqualTo("Qwen2MoeForCausalLM"));
    }

    [Test]
    public async Task Qwen3_models_make_a_qwen3_mixture()
    {
        Types("qwen3");
        await Run(Two);
        Assert.That(Names(), Has.Some.EqualTo(Layer + "mlp.experts.gate_up_proj"));
        Assert.That(Config()["model_type"]!.ToString(), Is.EqualTo("qwen3_moe"));
        Assert.That(Config()["moe_intermediate_size"]!.GetValue<int>(), Is.EqualTo(20));
    }

    [Test]
    public async Task Gates_depend_on_the_seed_and_uniform_ones_are_bounded()
    {
        byte[] normal = await Gate("random", 1);
        Assert.That(await Gate("random", 1), Is.EqualTo(normal));
        Assert.That(await Gate("random", 2), Is.Not.EqualTo(normal));
        float[] values = Floats(await Gate("uniform_random", 1));
        Assert.That(values, Is.All.InRange(-0.409f, 0.409f), "1/sqrt(6) is 0.408");
        Assert.That(values.Distinct().Count(), Is.GreaterThan(6));

        async Task<byte[]> Gate(string mode, ulong seed)
        {
            await Run(Two.Replace("gate_mode: random", "gate_mode: " + mode, StringComparison.Ordinal), seed);
            return Bytes(Layer + "mlp.gate.weight", [2, 6]);
        }
    }

    [Test]
    public async Task Residual_scale_multiplies_the_down_projection_alone_and_noise_all_three()
    {
        await Run(Two.Replace("m0", "m0, residual_scale: 0.5", StringComparison.Ordinal)
            .Replace("m1", "m1, noise_scale: 0.25", StringComparison.Ordinal));
        float[] down = Floats(Bytes(Layer + "mlp.experts.down_proj", [2, 6, 20]));
        float[] up = Floats(Bytes(Layer + "mlp.experts.gate_up_proj", [2, 40, 6]));
        Assert.That(down[..120], Is.EqualTo(Floats(Stored("m0", "down_proj")).Select(x => x / 2)));
        Assert.That(up[120..240], Is.EqualTo(Floats(Stored("m0", "up_proj"))));
        double[] noise = [.. up[360..].Zip(Floats(Stored("m1", "up_proj")), (a, b) => (double)a - b)];
        Assert.That(Math.Sqrt(noise.Average(x => x * x)), Is.EqualTo(0.25).Within(0.05));
    }

    [Test]
    public async Task An_expert_may_be_the_output_of_a_recipe()
    {
        var merge = Recipe.For("slerp").WithBase("m0").Add("m1").With("t", 0.3);
        await Merge.RunAsync(merge, _models["merged"], new MergeOptions { ModelRoot = _models.Root });
        await Run(Two.Replace("m1", "merged", StringComparison.Ordinal));
        byte[] expected = Bytes(Layer + "mlp.experts.gate_up_proj", [2, 40, 6]);
        Directory.Delete(_models["merged"], recursive: true);
        var recipe = MoeRecipeReader.Parse(Two.Replace("m1", "merged", StringComparison.Ordinal));
        await Run(recipe with { Steps = [merge with { Name = "merged" }] });
        Assert.That(Bytes(Layer + "mlp.experts.gate_up_proj", [2, 40, 6]), Is.EqualTo(expected));
        var other = recipe with { Steps = [merge.With("t", 0.4) with { Name = "merged" }] };
        var options = new MergeOptions { ModelRoot = _models.Root };
        var error = (await Assert.ThrowsAsync<MergeException>(() => Merge.RunAsync(other, _models["out"], options)))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Changed));
    }

    [Test]
    public async Task A_mixture_in_shards_is_kept_by_a_second_run_and_verified()
    {
        var options = new MergeOptions { ModelRoot = _models.Root, MaxShardBytes = 1500 };
        var recipe = MoeRecipeReader.Parse(Two);
        await Merge.RunAsync(recipe, _models["out"], options);
        var again = await Merge.RunAsync(recipe, _models["out"], options);
        Assert.That((again.ShardsReused, again.Shards > 1), Is.EqualTo((again.Shards, true)));
        var other = MoeRecipeReader.Parse(Two + "dtype: float32");
        var error = (await Assert.ThrowsAsync<MergeException>(() => Merge.RunAsync(other, _models["out"], options)))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Changed));
    }

    [TestCase("experts: []\nbase_model: base\ngate_mode: random", MergeError.Recipe, "lists no experts")]
    [TestCase(Two + "experts_per_token: 3", MergeError.Recipe, "'experts_per_token: 3' with 2 experts")]
    [TestCase(Two + "architecture: qwen3", MergeError.Models, "'architecture: Qwen3' does not take 0 shared experts and")]
    [TestCase(Two + Shared + "}, {source_model: m0}]", MergeError.Models, "no class of mixtures takes 2 shared")]
    [TestCase(Two + "dtype: int4", MergeError.Recipe, "'dtype: int4'")]
    [TestCase(Two + "expert_per_token: 3", MergeError.Recipe, "did you mean 'experts_per_token'?")]
    [TestCase(One, MergeError.Recipe, "'gate_mode' is missing")]
    [TestCase(One + "gate_mode: hidden_avg", MergeError.Recipe, "'gate_mode: hidden_avg' needs a forward pass")]
    [TestCase(One + "gate_mode: cheap_embed", MergeError.Recipe, "needs the prompts in tokens")]
    public async Task What_cannot_be_put_together_is_refused_in_one_line(string yaml, MergeError kind, string message)
    {
        var error = (await Assert.ThrowsAsync<MergeException>(() => Run(yaml)))!;
        Assert.That(error.Kind, Is.EqualTo(kind), error.Message);
        Assert.That(error.Message, Does.Contain(message).And.Not.Contain("\n"));
        Assert.That(Directory.Exists(_models["out"]), Is.False);
    }

    [Test]
    public async Task An_expert_of_more_layers_than_the_base_is_refused()
    {
        var (low, tall) = (ToyModels.Family(0, [.. Dense()]), ToyModels.Family(1, [.. Dense(3)]));
        using var folder = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = low["base"],
            ["m0"] = tall["m0"],
        });
        foreach (string model in new[] { "base", "m0" })
            folder.Write(model, "config.json", """{"model_type": "llama"}""");
        var recipe = MoeRecipeReader.Parse(One + "gate_mode: random\nexperts_per_token: 1");
        var error = (await Assert.ThrowsAsync<MergeException>(
            () => Merge.RunAsync(recipe, folder["out"], new MergeOptions { ModelRoot = folder.Root })))!;
        Assert.That(error.Message, Is.EqualTo("m0: has 3 layers, the base 'base' 2"));
    }

    private void Types(string type)
    {
        string config = $$"""{"model_type": "{{type}}", "intermediate_size": 20, "hidden_size": 6}""";
        foreach (string model in _stored.Keys)
            _models.Write(model, "config.json", config);
    }

    private Task<MergeReport> Run(string yaml, ulong seed = 0) => Run(MoeRecipeReader.Parse(yaml), seed);

    private Task<MergeReport> Run(Recipe recipe, ulong seed = 0)
    {
        if (Directory.Exists(_models["out"]))
            Directory.Delete(_models["out"], recursive: true);
        var options = new MergeOptions { ModelRoot = _models.Root, Seed = seed, Threads = 2 };
        return Merge.RunAsync(recipe, _models["out"], options);
    }

    private byte[] Stored(string model, string part) =>
        _stored[model].Single(t => t.Name == $"{Layer}mlp.{part}.weight").Bytes;

    private string[] Names()
    {
        using var output = Checkpoint.Open(_models["out"]);
        return [.. output.Tensors.Select(t => t.Name)];
    }

    private byte[] Bytes(string name, long[] shape)
    {
        using var output = Checkpoint.Open(_models["out"]);
        Assert.That(output.TryGet(name, out var tensor), name);
        Assert.That(tensor!.Shape, Is.EqualTo(shape));
        var bytes = new byte[tensor.ByteLength];
        tensor.Read(0, bytes);
        return bytes;
    }

    private static float[] Floats(byte[] bf16) =>
        [.. bf16.Chunk(2).Select(b => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(b) << 16))];

    private JsonObject Config() =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(_models["out"], "config.json")))!.AsObject();
}
