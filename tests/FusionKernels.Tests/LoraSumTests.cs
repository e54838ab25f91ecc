using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Adapters;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Sums of adapters against the sums of what they do to a model, and all that has no sum.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class LoraSumTests : IDisposable
{
    private const string Q = "layers.0.q", K = "layers.0.k", Embedding = "embed", Convolution = "conv";
    private const int Out = 30, In = 22;
    private readonly Random _random = new(5);
    private readonly TemporaryModels _models;

    public LoraSumTests()
    {
        _models = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["base"] =
            [
                Tensor($"{Q}.weight", [Out, In]), Tensor($"{Q}.bias", [Out]), Tensor($"{K}.weight", [Out, In]),
                Tensor($"{Embedding}.weight", [9, In]), Tensor($"{Convolution}.weight", [6, 4, 3, 3]),
            ],
        });

        // Ranks, scales and modules differ: 8 / 4, 6 / sqrt(9) and 5 / 2 by patterns.
        Adapter("a", """{"r": 4, "lora_alpha": 8, "target_modules": ["q", "embed"]}""", [.. Pair(Q, 4), .. Table(4)]);
        Adapter("b", """{"r": 9, "lora_alpha": 6, "use_rslora": true}""", [.. Pair(Q, 9), .. Pair(K, 9), .. Kernel(9)]);
        Adapter(
            "c",
            """{"r": 3, "lora_alpha": 3, "rank_pattern": {"q": 2}, "alpha_pattern": {"q": 5}, "lora_bias": true}""",
            [.. Pair(Q, 2), Tensor(Name(Q, "lora_B.bias"), [Out]), .. Pair(K, 3), .. Table(3), .. Kernel(3)]);
    }

    public void Dispose() => _models.Dispose();

    [TestCase(1, 1, 1)]
    [TestCase(0.5, -1.25, 3)]
    public async Task To_apply_the_sum_is_to_apply_each(double a, double b, double c)
    {
        var report = await Sum("sum", new SumOptions(), ("a", a), ("b", b), ("c", c));
        Assert.That(report.Modules.ToDictionary(m => m.Name, m => m.Rank), Is.EquivalentTo(new Dictionary<string, int>
        {
            [Q] = 15, [K] = 12, [Embedding] = 7, [Convolution] = 12,
        }));
        Dictionary<string, GoldenTensor> basis = Tensors("base"), sum = await Applied("sum");
        foreach (var (name, delta) in await Deltas(("a", a), ("b", b), ("c", c)))
        {
            var added = sum[name].Values.Zip(basis[name].Values, (x, w) => x - w);
            Assert.That(added, Is.EqualTo(delta).Within(3e-6), name);
        }
    }

    [Test]
    public async Task An_adapter_twice_recompressed_has_its_own_rank_and_twice_its_deltas()
    {
        var report = await Sum("sum", new SumOptions { Rank = 9 }, ("b", 1), ("b", 1));
        Assert.That(report.Modules.Where(m => m.Name != Convolution).Select(m => m.Rank), Is.All.EqualTo(9));
        Dictionary<string, GoldenTensor> basis = Tensors("base"), sum = await Applied("sum");
        foreach (var (name, delta) in await Deltas(("b", 2)))
        {
            var added = sum[name].Values.Zip(basis[name].Values, (x, w) => x - w);
            Assert.That(added, Is.EqualTo(delta).Within(1e-5), name);
        }
    }

    [TestCase(1)]
    [TestCase(6)]
    [TestCase(14)]
    public async Task A_recompressed_sum_misses_the_tail_of_the_dense_decomposition(int rank)
    {
        (string, double)[] terms = [("a", 1), ("b", -0.5), ("c", 2)];
        var report = await Sum("sum", new SumOptions { Rank = rank }, terms);
        Dictionary<string, GoldenTensor> basis = Tensors("base"), sum = await Applied("sum");
        var deltas = await Deltas(terms);
        foreach (var module in report.Modules)
        {
            string name = module.Name + ".weight";
            int rows = (int)basis[name].Shape[0];
            double[] delta = deltas[name];
            double[] values = SingularValues(delta, rows);
            double tail = values.Skip(rank).Sum(s => s * s), energy = values.Sum(s => s * s);
            double missed = sum[name].Values.Select((x, i) => Math.Pow(x - basis[name].Values[i] - delta[i], 2)).Sum();
            Assert.That(Math.Sqrt(missed), Is.EqualTo(Math.Sqrt(tail)).Within(1e-4 * Math.Sqrt(energy)), name);
            Assert.That(module.CapturedEnergy, Is.EqualTo(1 - (tail / energy)).Within(1e-5), name);
        }
    }

    [Test]
    public async Task A_share_of_the_energy_takes_as_few_ranks_as_hold_it()
    {
        var all = (await Sum("all", new SumOptions { Energy = 1 }, ("a", 1), ("b", 1))).Modules;
        Assert.That(all.Single(m => m.Name == Q).Rank, Is.EqualTo(13));
        var most = (await Sum("most", new SumOptions { Energy = 0.9 }, ("a", 1), ("b", 1))).Modules;
        Assert.That(most.Select(m => m.CapturedEnergy), Is.All.InRange(0.9, 1));
        Assert.That(most.Single(m => m.Name == Q).Rank, Is.LessThan(13));
    }

    [Test]
    public async Task An_adapter_and_its_negative_leave_nothing()
    {
        Assert.That(await Refusal(new SumOptions { Energy = 1 }, ("b", 1), ("b", -1)), Does.Contain("nothing"));
        Assert.That(await Refusal(new SumOptions { Energy = 1 }, ("b", 1), ("b", -0.999)), Is.Empty);
    }

    [Test]
    public async Task One_adapter_is_recompressed_alone()
    {
        var report = await Sum("sum", new SumOptions { Rank = 2, Dtype = Dtype.BF16 }, ("b", 1));
        Assert.That(report.Modules.Select(m => m.Rank), Is.All.EqualTo(2));
        Assert.That(Tensors("sum").Values.Select(t => t.Dtype), Is.All.EqualTo("BF16"));
        JsonElement config = Config("sum");
        Assert.That(config.GetProperty("r").GetInt32(), Is.EqualTo(2));
        Assert.That(config.GetProperty("lora_alpha").GetInt32(), Is.EqualTo(2));
        Assert.That(config.GetProperty("use_rslora").GetBoolean(), Is.False);
    }

    [Test]
    public async Task An_exact_sum_beyond_its_dtype_is_told_of()
    {
        var report = await Sum("sum", new SumOptions { Dtype = Dtype.F16 }, ("b", 1e7));
        Assert.That(report.Warnings, Has.Some.Contains("lora_B.weight").And.Contains("infinite"));
    }

    [Test]
    public async Task Targets_are_named_as_the_adapters_name_them()
    {
        await Sum("sum", new SumOptions(), ("a", 1), ("b", 1));
        Assert.That(
            Config("sum").GetProperty("target_modules").EnumerateArray().Select(n => n.GetString()),
            Is.EquivalentTo(new[] { "q", "embed", K, "conv" }));
    }

    [Test]
    public async Task Whole_modules_are_kept_where_all_adapters_have_the_same()
    {
        const string Norm = "base_model.model.norm.weight";
        MemoryTensor norm = Tensor(Norm, [In]), other = Tensor(Norm, [In]);
        Adapter("with", """{"r": 2, "lora_alpha": 2}""", [.. Pair(Q, 2), norm]);
        Adapter("same", """{"r": 2, "lora_alpha": 2}""", [.. Pair(K, 2), norm]);
        Adapter("other", """{"r": 2, "lora_alpha": 2}""", [.. Pair(K, 2), other]);
        var report = await Sum("sum", new SumOptions(), ("with", 1), ("same", 1));
        Assert.That(report.OtherTensors, Is.EqualTo(1));
        Assert.That(Tensors("sum")[Norm].Bytes, Is.EqualTo(norm.Bytes.ToArray()));
        Assert.That(
            await Refusal(new SumOptions(), ("with", 1), ("other", 1)), Does.Contain(Norm).And.Contain("no sum"));
        Assert.That(await Refusal(new SumOptions(), ("with", 1), ("a", 1)), Does.Contain(Norm));
        report = await Sum("skipped", new SumOptions { SkipSaved = true }, ("with", 1), ("a", 1));
        Assert.That(report.OtherTensors, Is.Zero);
    }

    [TestCase("""{"use_dora": true}""", "DoRA")]
    [TestCase("""{"bias": "all"}""", "trained biases")]
    [TestCase("""{"fan_in_fan_out": true}""", "fan_in_fan_out")]
    [TestCase("""{"r": 5}""", "has rank 2")]
    [TestCase("""{"peft_type": "LOHA"}""", "only LORA")]
    public async Task An_adapter_that_has_no_sum_is_refused_by_its_file(string change, string message)
    {
        var config = JsonNode.Parse("""{"r": 2, "lora_alpha": 2}""")!.AsObject();
        foreach (var (key, value) in JsonNode.Parse(change)!.AsObject())
            config[key] = value?.DeepClone();
        Adapter("odd", config.ToJsonString(), Pair(Q, 2));
        Assert.That(await Refusal(new SumOptions(), ("a", 1), ("odd", 1)), Does.Contain(message).And.Contain("odd"));
    }

    [Test]
    public async Task Modules_of_different_shapes_are_refused_by_name()
    {
        Adapter("other", """{"r": 2, "lora_alpha": 2}""",
            [Tensor(Name(Q, "lora_A.weight"), [2, In + 1]), Tensor(Name(Q, "lora_B.weight"), [Out, 2])]);
        Assert.That(
            await Refusal(new SumOptions(), ("a", 1), ("other", 1)),
            Does.Contain($"{Q}.lora_A.weight").And.Contain("[30, 23]"));
    }

    private static double[] SingularValues(double[] elements, int rows)
    {
        using var matrix = new DenseMatrix<double>(rows, elements.Length / rows);
        for (int row = 0; row < rows; row++)
            elements.AsSpan(row * matrix.Columns, matrix.Columns).CopyTo(matrix.Row(row));
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 1);
        using SmallSvd svd = SmallSvd.Factor(team, matrix);
        return svd.Values;
    }

    private Task<AdapterReport> Sum(string output, SumOptions options, params (string Name, double Weight)[] terms) =>
        LoraSum.RunAsync([.. terms.Select(t => (_models[t.Name], t.Weight))], _models[output], options);

    private async Task<string> Refusal(SumOptions options, params (string Name, double Weight)[] terms)
    {
        try
        {
            await Sum("refused", options with { Restart = true }, terms);
            return "";
        }
        catch (MergeException e)
        {
            return e.Message;
        }
    }

    // The sum of what each adapter adds to each tensor.
    private async Task<Dictionary<string, double[]>> Deltas(params (string Name, double Weight)[] terms)
    {
        var basis = Tensors("base");
        var deltas = basis.ToDictionary(t => t.Key, t => new double[t.Value.Values.Length]);
        foreach (var (adapter, weight) in terms)
        {
            foreach (var (name, tensor) in await Applied(adapter))
            {
                for (int i = 0; i < deltas[name].Length; i++)
                    deltas[name][i] += weight * (tensor.Values[i] - basis[name].Values[i]);
            }
        }

        return deltas;
    }

    private async Task<Dictionary<string, GoldenTensor>> Applied(string adapter)
    {
        string output = adapter + "-applied";
        await Merge.RunAsync(Recipe.For("passthrough").Add($"{_models["base"]}+{_models[adapter]}"), _models[output]);
        return Tensors(output);
    }

    private Dictionary<string, GoldenTensor> Tensors(string model) => RecipeGoldenTests.Tensors(_models[model]);

    private JsonElement Config(string adapter) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(_models[adapter], "adapter_config.json"))).RootElement;

    private void Adapter(string name, string config, MemoryTensor[] tensors)
    {
        Directory.CreateDirectory(_models[name]);
        SafetensorsWriter.Write(
            Path.Combine(_models[name], "adapter_model.safetensors"),
            [.. tensors.Select(t => (new TensorSpec(t.Name, t.Dtype, t.Shape), (ReadOnlyMemory<byte>)t.Bytes))]);
        var json = JsonNode.Parse(config)!.AsObject();
        if (!json.ContainsKey("peft_type"))
            json["peft_type"] = "LORA";
        _models.Write(name, "adapter_config.json", json.ToJsonString());
    }

    private MemoryTensor[] Pair(string module, int rank) =>
        [Tensor(Name(module, "lora_A.weight"), [rank, In]), Tensor(Name(module, "lora_B.weight"), [Out, rank])];

    private MemoryTensor[] Table(int rank) =>
    [
        Tensor(Name(Embedding, "lora_embedding_A"), [rank, 9]),
        Tensor(Name(Embedding, "lora_embedding_B"), [In, rank]),
    ];

    private MemoryTensor[] Kernel(int rank) =>
    [
        Tensor(Name(Convolution, "lora_A.weight"), [rank, 4, 3, 3]),
        Tensor(Name(Convolution, "lora_B.weight"), [6, rank, 1, 1]),
    ];

    private static string Name(string module, string part) => $"base_model.model.{module}.{part}";

    private MemoryTensor Tensor(string name, long[] shape)
    {
        var indices = Enumerable.Range(0, (int)shape.Aggregate((x, y) => x * y));
        return ToyModels.F32(name, shape, [.. indices.Select(_ => (_random.NextSingle() - 0.5f) / 2)]);
    }
}
