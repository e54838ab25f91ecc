using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Smile;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Models upscaled by SMILE: both layouts, ranks, routers, what is refused.</summary>
public sealed class SmileUpscalingTests
{
    private const string Llama =
        """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-5}""";

    private const string Layer = "model.layers.0.self_attn.q_proj";

    [TestCase("causal_lm", "shared_linear", "gate.weight")]
    [TestCase("module", "pretrained_model", "gate.weights")]
    public void Each_layout_has_FusionBenchs_names_and_opens(string layout, string shared, string gate)
    {
        using var run = new Run(
            Family(), Llama, ("layout", Setting.Choice(layout)), ("k", 3), ("gate_k", 2), ("top_k", 2));
        string[] layer = [.. run.Tensors.Keys.Where(n => n.StartsWith(Layer, StringComparison.Ordinal))];
        Assert.That(layer, Is.EquivalentTo(new[]
        {
            $"{Layer}.{shared}.weight", $"{Layer}.{shared}.bias", $"{Layer}.{gate}",
            $"{Layer}.experts.0.u", $"{Layer}.experts.0.svh", $"{Layer}.experts.0.bias",
            $"{Layer}.experts.1.u", $"{Layer}.experts.1.svh", $"{Layer}.experts.1.bias",
        }));
        Assert.That(run[$"{Layer}.{gate}"].Shape, Is.EqualTo(new long[] { 4, 40 }));
        Assert.That(run[$"{Layer}.{shared}.weight"].Bytes, Is.EqualTo(run.Model("base", Layer + ".weight").Bytes));
        Assert.That(run["model.norm.weight"].Bytes, Is.EqualTo(run.Model("base", "model.norm.weight").Bytes));
        bool isCausal = layout == "causal_lm";
        Assert.That(run.Tensors.ContainsKey("lm_head.weight"), Is.EqualTo(isCausal));
        Assert.That(run.Tensors, Does.ContainKey("model.embed_tokens.weight"));
        Assert.That(run.Config["model_type"]!.ToString(), Is.EqualTo(isCausal ? "smile_llama" : "smile_module"));
        string architectures = isCausal ? """["SmileLlamaForCausalLM"]""" : "[]";
        Assert.That(run.Config["architectures"]!.ToJsonString(), Is.EqualTo(architectures));
        Assert.That(run.Config["rms_norm_eps"]!.GetValue<double>(), Is.EqualTo(1e-5));
        using var smile = SmileModel.Open(run.Output);
        Assert.That(smile.TryGet(Layer, out SmileLinear? opened));
        Assert.That((opened!.Experts, opened.Layer.TopK, opened.Layer.InnerWidth), Is.EqualTo((2, 2, 3)));
    }

    [TestCase("mistral", "SmileMistralForCausalLM")]
    [TestCase("qwen2", "SmileQwen2ForCausalLM")]
    [TestCase("gemma2", null)]
    public void The_base_decides_the_class(string type, string? expected)
    {
        using var run = new Run(Family(), $$"""{"model_type": "{{type}}"}""", ("k", 3), ("gate_k", 2));
        string named = expected is null ? "smile_module" : "smile_" + type;
        Assert.That(run.Config["model_type"]!.ToString(), Is.EqualTo(named));
        Assert.That(run.Config["architectures"]!.AsArray().FirstOrDefault()?.ToString(), Is.EqualTo(expected));
    }

    [TestCase("sketch")]
    [TestCase("exact")]
    public void Experts_of_full_rank_are_the_models_themselves(string svd)
    {
        using var run = new Run(
            Family(), null, ("k", 24), ("gate_k", 2), ("svd", Setting.Choice(svd)),
            ("upscale", new Setting([new SettingEntry("q_proj", [1], null), new SettingEntry(null, [0], null)])));
        using var smile = SmileModel.Open(run.Output);
        SmileLinear layer = smile.Layers.Single(l => l.Experts > 0);
        AssertRoutedExpert(layer, run, tolerance: 2e-5);
    }

    [Test]
    public void Dense_experts_are_the_models_themselves([Values(0, -1)] int k)
    {
        using var run = new Run(Family(), Llama, ("k", k), ("gate_k", 2));
        Assert.That(run[$"{Layer}.experts.1.weight"].Shape, Is.EqualTo(new long[] { 24, 40 }));
        Assert.That(run.Config["rank_of_expert"]!.GetValue<int>(), Is.EqualTo(-1));
        using var smile = SmileModel.Open(run.Output);
        Assert.That(smile.TryGet(Layer, out SmileLinear? layer));
        AssertRoutedExpert(layer!, run, tolerance: 1e-5);
    }

    [Test]
    public void A_shared_gate_routes_like_a_stored_one()
    {
        using var stored = new Run(Family(), null, ("k", 4), ("gate_k", 3));
        using var shared = new Run(Family(), null, ("k", 4), ("gate_k", 3), ("gate", Setting.Choice("shared")));
        Assert.That(shared.Tensors.Keys, Has.None.Contains("gate.weights"));
        using SmileModel expected = SmileModel.Open(stored.Output), actual = SmileModel.Open(shared.Output);
        float[] x = Input(60, 40), y = new float[60 * 24], z = new float[60 * 24];
        Assert.That(expected.TryGet(Layer, out SmileLinear? left) & actual.TryGet(Layer, out SmileLinear? right));
        left!.Forward(x, 60, y);
        right!.Forward(x, 60, z);
        Assert.That(z, Is.EqualTo(y).Within(1e-5));
    }

    [Test]
    public void Energy_chooses_ranks_of_their_own_for_modules_and_one_for_language_models()
    {
        // The deltas are of rank 1 and 3, with equal singular values.
        var models = OneLayer(20, 30, (0, 1), (1, 3));
        using var module = new Run(models, null, ("k", 8), ("gate_k", 1), ("energy", 0.9));
        Assert.That(module["layer.experts.0.u"].Shape[1], Is.EqualTo(1));
        Assert.That(module["layer.experts.1.u"].Shape[1], Is.EqualTo(3));
        Assert.That(module.Config.ContainsKey("rank_of_expert"), Is.False);
        using (var smile = SmileModel.Open(module.Output))
            Assert.That(smile.Layers.Single().Layer.InnerWidth, Is.EqualTo(3));

        using var capped = new Run(models, null, ("k", 2), ("gate_k", 1), ("energy", 0.9));
        Assert.That(capped["layer.experts.1.u"].Shape[1], Is.EqualTo(2));

        using var causal = new Run(Family(), Llama, ("k", 12), ("gate_k", 2), ("energy", 0.5));
        int rank = causal.Config["rank_of_expert"]!.GetValue<int>();
        Assert.That(rank, Is.InRange(2, 11));
        Assert.That(
            causal.Tensors.Where(t => t.Key.EndsWith(".u", StringComparison.Ordinal)).Select(t => t.Value.Shape[1]),
            Is.All.EqualTo(rank));
    }

    [Test]
    public void Directions_that_a_delta_does_not_have_do_not_route()
    {
        using var run = new Run(OneLayer(64, 48, (0, 2), (1, 0)), null, ("k", 5), ("gate_k", 5));
        float[][] gate = [.. run["layer.gate.weights"].Floats().Chunk(48)];
        double[] lengths = [.. gate.Select(row => Math.Sqrt(row.Sum(v => (double)v * v)))];
        Assert.That(lengths, Is.EqualTo(new double[] { 1, 1, 0, 0, 0, 0, 0, 0, 0, 0 }).Within(1e-5));
        Assert.That(run["layer.experts.1.svh"].Floats(), Is.All.Zero);
        Assert.That(run["layer.experts.1.u"].Floats(), Is.All.Zero);
    }

    [Test]
    public void A_sketched_router_scores_like_the_exact_one()
    {
        // Singular values decay like i^-0.5, the hardest for a sketch; scores of single tokens, not their mean.
        var models = OneLayer(320, 400, (0, -320));
        using var sketched = new Run(models, null, ("k", 8), ("gate_k", 8));
        using var exact = new Run(models, null, ("k", 8), ("gate_k", 8), ("svd", Setting.Choice("exact")));
        float[] x = Input(200, 400);
        double[] expected = Scores(exact["layer.gate.weights"].Floats(), x);
        double[] actual = Scores(sketched["layer.gate.weights"].Floats(), x);
        Assert.That(actual, Is.Not.EqualTo(expected));
        double worst = actual.Zip(expected, (a, e) => Math.Abs(a - e) / e).Max();
        Assert.That(worst, Is.LessThan(0.02));

        static double[] Scores(float[] gate, float[] x) => [.. x.Chunk(400).Select(token => Math.Sqrt(
            gate.Chunk(400).Sum(row => Math.Pow(row.Zip(token, (a, b) => (double)a * b).Sum(), 2))))];
    }

    [Test]
    public void Bytes_depend_on_neither_threads_nor_shards()
    {
        var models = OneLayer(200, 300, (0, -40), (1, -60));
        using var expected = new Run(models, null, new MergeOptions { Threads = 1 }, ("k", 8), ("gate_k", 4));
        foreach (int threads in new[] { 2, 7 })
        {
            using var run = new Run(models, null, new MergeOptions { Threads = threads }, ("k", 8), ("gate_k", 4));
            AssertSame(run);
        }

        // A layer over several shards is decomposed once in each.
        using var cut = new Run(
            models, null, new MergeOptions { Threads = 2, MaxShardBytes = 9000 }, ("k", 8), ("gate_k", 4));
        Assert.That(Directory.GetFiles(cut.Output, "*.safetensors"), Has.Length.GreaterThan(4));
        AssertSame(cut);

        void AssertSame(Run run)
        {
            Assert.That(run.Tensors.Keys, Is.EquivalentTo(expected.Tensors.Keys));
            foreach (var (name, tensor) in expected.Tensors)
                Assert.That(run[name].Bytes.AsSpan().SequenceEqual(tensor.Bytes), name);
        }
    }

    [Test]
    public void Layers_that_no_expert_changed_stay_plain_or_get_experts_of_zeros()
    {
        using var plain = new Run(Family(untrained: "k_proj"), Llama, ("k", 3), ("gate_k", 2), ("average_experts", 1));
        const string Key = "model.layers.0.self_attn.k_proj";
        Assert.That(plain[Key + ".weight"].Bytes, Is.EqualTo(plain.Model("base", Key + ".weight").Bytes));
        Assert.That(plain[Key + ".bias"].Bytes, Is.EqualTo(plain.Model("base", Key + ".bias").Bytes));
        Assert.That(plain.Metadata["smile_plain_layers"], Is.EqualTo(Key));
        Assert.That(plain.Report.Warnings.Single(), Does.Contain(Key).And.Contain("untrained: zeros"));

        using var zeros = new Run(
            Family(untrained: "k_proj"), Llama, ("k", 3), ("gate_k", 2), ("untrained", Setting.Choice("zeros")));
        Assert.That(zeros[Key + ".experts.1.u"].Floats(), Has.Length.EqualTo(12 * 3).And.All.Zero);
        Assert.That(zeros[Key + ".gate.weight"].Floats(), Has.Length.EqualTo(4 * 40).And.All.Zero);
        Assert.That(zeros.Report.Warnings, Is.Empty);
        using var smile = SmileModel.Open(zeros.Output);
        Assert.That(smile.TryGet(Key, out SmileLinear? layer));
        float[] x = Input(1, 40), y = new float[12];
        layer!.Forward(x, 1, y);
        float[] w = zeros.Model("base", Key + ".weight").Floats(), b = zeros.Model("base", Key + ".bias").Floats();
        float[] expected = [.. w.Chunk(40).Select((row, i) => row.Zip(x, (p, q) => p * q).Sum() + b[i])];
        Assert.That(y, Is.EqualTo(expected).Within(1e-5));
    }

    [Test]
    public void What_is_not_upscaled_is_the_bases_or_the_experts_mean()
    {
        using var run = new Run(Family(), Llama, ("k", 3), ("gate_k", 2), ("average_experts", 1));
        const string Norm = "model.norm.weight";
        float[] one = run.Model("m0", Norm).Floats(), two = run.Model("m1", Norm).Floats();
        Assert.That(run[Norm].Floats(), Is.EqualTo(one.Zip(two, (a, b) => (a + b) / 2)).Within(1e-6));
    }

    [Test]
    public void A_base_without_a_bias_leaves_the_experts_theirs()
    {
        var models = OneLayer(6, 5, (0, 2), (1, 2));
        for (int i = 0; i < 2; i++)
            models[$"m{i}"] = [.. models[$"m{i}"], ToyModels.F32("layer.bias", [6], [i, 1, 2, 3, 4, 5])];
        using var run = new Run(models, null, ("k", 2), ("gate_k", 2));
        Assert.That(run.Tensors, Does.Not.ContainKey("layer.pretrained_model.bias"));
        Assert.That(run["layer.experts.1.bias"].Floats(), Is.EqualTo(new float[] { 1, 1, 2, 3, 4, 5 }));
        using var smile = SmileModel.Open(run.Output);
        Assert.That(smile.Layers.Single().Experts, Is.EqualTo(2));


        var family = Family();
        family["base"] = [.. family["base"].Where(t => t.Name != $"{Layer}.bias")];
        Refuses(family, Llama, $"{Layer}.bias: missing from the base", [("k", 3), ("gate_k", 2)]);
    }

    [Test]
    public void An_expert_may_be_another_recipes_output()
    {
        using var folder = new TemporaryModels(Family());
        var mean = Recipe.For("linear").Add("m0", ("weight", 1)).Add("m1", ("weight", 1)) with { Name = "mean" };
        var recipe = Recipe.For("smile").WithBase("base").Add("m0").Add("mean").With("k", 3).With("gate_k", 2)
            with { Steps = [mean] };
        var options = new MergeOptions { ModelRoot = folder.Root };
        Merge.RunAsync(recipe, folder["chained"], options).GetAwaiter().GetResult();
        Merge.RunAsync(mean with { Name = null }, folder["mean"], options).GetAwaiter().GetResult();
        Merge.RunAsync(recipe with { Steps = [] }, folder["stored"], options).GetAwaiter().GetResult();
        Assert.That(
            File.ReadAllBytes(Path.Combine(folder["chained"], "model.safetensors")),
            Is.EqualTo(File.ReadAllBytes(Path.Combine(folder["stored"], "model.safetensors"))));
    }

    [Test]
    public void Experts_keep_their_order_in_slices_that_list_them_in_another()
    {
        using var folder = new TemporaryModels(Family());
        folder.Write("base", "config.json", Llama);
        string[] models = ["base", "m0", "m1"];
        RecipeModel[] sources = [.. models.Select(m => new RecipeModel(m) { Layers = (0, 1) })];
        var recipe = Recipe.For("smile").WithBase("base").With("k", 3).With("gate_k", 2)
            .AddSlice(sources).AddSlice(sources[0], sources[2], sources[1]);
        var options = new MergeOptions { ModelRoot = folder.Root };
        Merge.RunAsync(recipe, folder["output"], options).GetAwaiter().GetResult();
        using var output = Checkpoint.Open(folder["output"]);
        string[] parts = ["gate.weight", "experts.0.u", "experts.1.svh", "experts.0.bias", "experts.1.bias"];
        foreach (string part in parts)
            Assert.That(Bytes($"model.layers.1.self_attn.q_proj.{part}"), Is.EqualTo(Bytes($"{Layer}.{part}")), part);

        byte[] Bytes(string name)
        {
            Assert.That(output.TryGet(name, out CheckpointTensor? tensor), name);
            byte[] bytes = new byte[tensor!.ByteLength];
            tensor.Read(0, bytes);
            return bytes;
        }
    }

    [Test]
    public void Ranks_that_do_not_fit_are_refused_by_tensor_and_rule()
    {
        Refuses(Family(), Llama, "k_proj.weight' is [12, 40], so 'k' is at most 12", [("k", 13), ("gate_k", 2)]);
        Refuses(Family(), Llama, "'gate_k' is at most 12 there, not 13", [("k", 3), ("gate_k", 13)]);
        Refuses(Family(), Llama, "'k' is a whole number, not 2.5", [("k", 2.5), ("gate_k", 2)]);
        Refuses(Family(), Llama, "'top_k' is 3, of 2 experts", [("k", 3), ("gate_k", 2), ("top_k", 3)]);
        Refuses(Family(), Llama, "'k' is at least -1, not -2", [("k", -2), ("gate_k", 2)]);
        var varied = new Setting([new SettingEntry("q_proj", [3], null), new SettingEntry(null, [4], null)]);
        Refuses(Family(), Llama, "'k' is the same for all layers, not 4 and 3", [("k", varied), ("gate_k", 2)]);
        Setting shared = Setting.Choice("shared"), causal = Setting.Choice("causal_lm");
        Refuses(
            Family(), Llama, "'gate: shared' is for 'layout: module'", [("k", 3), ("gate_k", 2), ("gate", shared)]);
        Refuses(Family(), null, "rank 'gate_k' or more", [("k", 2), ("gate_k", 3), ("gate", shared)]);
        Refuses(Family(), null, "config.json says no model_type of llama, mistral, qwen2", [("layout", causal)]);
        Refuses(Family(), Llama, "'upscale' is for 'layout: module'", [("k", 3), ("gate_k", 2), ("upscale", 0)]);
        Refuses(Family(), null, "'energy' gives no rank", [("k", 0), ("gate_k", 2), ("energy", 0.5)]);
    }

    [Test]
    public void Models_that_do_not_fit_are_refused_by_tensor_and_rule()
    {
        (string, Setting)[] small = [("k", 2), ("gate_k", 2)];
        Refuses(OneLayer(6, 5, (0, 0)), null, "no linear layer differs from it in any expert", small);
        var models = OneLayer(6, 5, (0, 2));
        models["m0"][0].Bytes.AsSpan(8, 4).Fill(0xFF);
        Refuses(models, null, "m0/model.safetensors: tensor 'layer.weight' differs from the base by NaN", small);
        models = OneLayer(6, 5, (0, 2));
        models["base"] = [.. models["base"], ToyModels.F32("layer.bias", [6], new float[6])];
        Refuses(models, null, "layer.bias: missing from m0", small);
        models = OneLayer(6, 5, (0, 2));
        models["base"] = [ToyModels.F32("norm.weight", [5], new float[5])];
        models["m0"] = models["base"];
        Refuses(models, null, "has no linear layers to upscale", small);
        Refuses(new() { ["base"] = models["base"] }, null, "at least one model besides the base", small);
    }

    private static void Refuses(
        Dictionary<string, MemoryTensor[]> models, string? config, string rule, (string, Setting)[] parameters)
    {
        var refusal = Assert.Throws<MergeException>(() => new Run(models, config, parameters).Dispose())!;
        Assert.That(refusal.Message, Does.Contain(rule).And.Not.Contain("\n"));
    }

    // Of each token the expert with the longest projection on its router's rows: the model itself.
    private static void AssertRoutedExpert(SmileLinear layer, Run run, double tolerance)
    {
        const int Tokens = 30;
        float[] x = Input(Tokens, 40), y = new float[Tokens * 24];
        layer.Forward(x, Tokens, y);
        float[][] outputs = [.. new[] { "m0", "m1" }.Select(model =>
        {
            float[] w = run.Model(model, Layer + ".weight").Floats(), b = run.Model(model, Layer + ".bias").Floats();
            return x.Chunk(40).SelectMany(token =>
                w.Chunk(40).Select((row, i) => row.Zip(token, (p, q) => p * q).Sum() + b[i])).ToArray();
        })];
        for (int token = 0; token < Tokens; token++)
        {
            var range = (token * 24)..((token + 1) * 24);
            double[] errors = [.. outputs.Select(o => (double)o[range].Zip(y[range], (e, a) => Math.Abs(e - a)).Max())];
            Assert.That(errors.Min(), Is.LessThan(tolerance), $"token {token}");
        }
    }

    private static float[] Input(int tokens, int columns) => Values(new Random(3), tokens * columns, 1);

    private static float[] Values(Random random, int count, float scale) =>
        [.. Enumerable.Range(0, count).Select(_ => scale * ((random.NextSingle() * 2) - 1))];

    /// <summary>A small Llama: a base and two experts in F32, one of whose layers may be untrained.</summary>
    private static Dictionary<string, MemoryTensor[]> Family(string untrained = "none")
    {
        (string Name, long[] Shape)[] tensors =
        [
            ("model.embed_tokens.weight", [9, 40]),
            ($"{Layer}.weight", [24, 40]), ($"{Layer}.bias", [24]),
            ("model.layers.0.self_attn.k_proj.weight", [12, 40]), ("model.layers.0.self_attn.k_proj.bias", [12]),
            ("model.layers.0.mlp.down_proj.weight", [40, 64]),
            ("model.norm.weight", [40]),
            ("lm_head.weight", [32, 40]),
        ];
        var random = new Random(11);
        float[][] values = [.. tensors.Select(t => Values(random, Count(t.Shape), 0.5f))];
        var models = new Dictionary<string, MemoryTensor[]>();
        foreach (string model in new[] { "base", "m0", "m1" })
        {
            models[model] = [.. tensors.Select((t, i) =>
            {
                bool same = model == "base" || t.Name.EndsWith(untrained + ".weight", StringComparison.Ordinal);
                float[] delta = Values(random, values[i].Length, same ? 0 : 0.1f);
                return ToyModels.F32(t.Name, t.Shape, [.. values[i].Zip(delta, (v, d) => v + d)]);
            })];
        }

        return models;

        static int Count(long[] shape) => (int)shape.Aggregate(1L, (a, b) => a * b);
    }

    /// <summary>
    /// A model of one matrix of zeros, and experts whose deltas are of given ranks: singular values 1, or for a
    /// negative rank 1, 2^-0.5, 3^-0.5, ...
    /// </summary>
    private static Dictionary<string, MemoryTensor[]> OneLayer(
        int rows, int columns, params (int Model, int Rank)[] experts)
    {
        var models = new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = [ToyModels.F32("layer.weight", [rows, columns], new float[rows * columns])],
        };
        foreach (var (model, rank) in experts)
        {
            double[][] left = Orthonormal(rows, Math.Abs(rank), model);
            double[][] right = Orthonormal(columns, Math.Abs(rank), model + 9);
            var values = new float[rows * columns];
            for (int i = 0; i < values.Length; i++)
            {
                double sum = 0;
                for (int j = 0; j < left.Length; j++)
                    sum += left[j][i / columns] * right[j][i % columns] * (rank < 0 ? Math.Pow(j + 1, -0.5) : 1);
                values[i] = (float)sum;
            }

            models[$"m{model}"] = [ToyModels.F32("layer.weight", [rows, columns], values)];
        }

        return models;
    }

    // Gram-Schmidt, twice.
    private static double[][] Orthonormal(int length, int count, int seed)
    {
        var random = new Random(seed);
        var vectors = new double[count][];
        for (int i = 0; i < count; i++)
        {
            double[] vector = [.. Enumerable.Range(0, length).Select(_ => random.NextDouble() - 0.5)];
            for (int pass = 0; pass < 2; pass++)
            {
                foreach (double[] other in vectors[..i])
                {
                    double product = vector.Zip(other, (a, b) => a * b).Sum();
                    vector = [.. vector.Zip(other, (a, b) => a - (product * b))];
                }

                double size = Math.Sqrt(vector.Sum(v => v * v));
                vector = [.. vector.Select(v => v / size)];
            }

            vectors[i] = vector;
        }

        return vectors;
    }

    /// <summary>An upscaled model on disk.</summary>
    private sealed class Run : IDisposable
    {
        private readonly TemporaryModels _folder;
        private readonly Dictionary<string, MemoryTensor[]> _models;

        public Run(
            Dictionary<string, MemoryTensor[]> models, string? config, params (string Name, Setting Value)[] parameters)
            : this(models, config, new MergeOptions { Threads = 2 }, parameters)
        {
        }

        public Run(
            Dictionary<string, MemoryTensor[]> models, string? config, MergeOptions options,
            params (string Name, Setting Value)[] parameters)
        {
            _models = models;
            _folder = new TemporaryModels(models);
            try
            {
                if (config is not null)
                    _folder.Write("base", "config.json", config);
                var recipe = models.Keys.Where(m => m != "base" || models.Count == 1)
                    .Aggregate(Recipe.For("smile").WithBase("base"), (r, m) => r.Add(m));
                recipe = parameters.Aggregate(recipe, (r, p) => r.With(p.Name, p.Value));
                options = options with { ModelRoot = _folder.Root };
                Report = Merge.RunAsync(recipe, Output, options).GetAwaiter().GetResult();
                using var written = Checkpoint.Open(Output);
                Metadata = written.Metadata;
                foreach (CheckpointTensor tensor in written.Tensors)
                {
                    byte[] bytes = new byte[tensor.ByteLength];
                    tensor.Read(0, bytes);
                    Tensors.Add(tensor.Name, new MemoryTensor(tensor.Name, tensor.Dtype, tensor.Shape, bytes));
                }
            }
            catch
            {
                _folder.Dispose();
                throw;
            }
        }

        public string Output => _folder["output"];

        public MergeReport Report { get; }

        public IReadOnlyDictionary<string, string> Metadata { get; }

        public Dictionary<string, MemoryTensor> Tensors { get; } = [];

        public JsonObject Config => JsonNode.Parse(File.ReadAllBytes(Path.Combine(Output, "config.json")))!.AsObject();

        public MemoryTensor this[string name] => Tensors[name];

        public MemoryTensor Model(string model, string name) => _models[model].Single(t => t.Name == name);

        public void Dispose() => _folder.Dispose();
    }
}
