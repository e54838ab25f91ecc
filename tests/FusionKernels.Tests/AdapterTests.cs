using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Adapters;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Extracted adapters applied again, and what is stored how and refused.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class AdapterTests : IDisposable
{
    private const string Layer = "model.layers.0.mlp.", Prefix = "base_model.model.";
    private const int Out = 24, In = 40, Delta = 5;
    private readonly Random _random = new(3);
    private readonly TemporaryModels _models;

    public AdapterTests()
    {
        float[] up = Values(Out * In), down = Values(In * Out), norm = Values(In);
        float[] bias = Values(Out), table = Values(6 * In);
        MemoryTensor[] Of(float[] u, float[] d, float[] n, float[] b, float[] t) =>
        [
            ToyModels.F32("model.embed_tokens.weight", [6, In], t),
            ToyModels.F32(Layer + "up.weight", [Out, In], u),
            ToyModels.F32(Layer + "up.bias", [Out], b),
            ToyModels.F32(Layer + "down.weight", [In, Out], d),
            ToyModels.F32(Layer + "same.weight", [In, Out], down),
            ToyModels.F32("model.norm.weight", [In], n),
        ];
        float[] b2 = Add(bias, Values(Out)), n2 = Add(norm, Values(In)), t2 = Add(table, Values(6 * In));
        _models = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = Of(up, down, norm, bias, table),
            ["expert"] = Of(Add(up, LowRank(Out, In)), Add(down, LowRank(In, Out)), n2, b2, t2),
            ["nan"] = Of([.. up[..^1], float.NaN], down, norm, bias, table),
            ["wide"] =
            [
                ToyModels.F32(Layer + "up.weight", [Out, In + 1], Values(Out * (In + 1))),
                .. Of(up, down, norm, bias, table).Where(t => t.Name != Layer + "up.weight"),
            ],
            ["half"] = Of(up, down, norm, bias, table)[..3],
            ["larger"] = [.. Of(Add(up, LowRank(Out, In)), down, norm, bias, table)[1..],
                ToyModels.F32("model.embed_tokens.weight", [7, In], Values(7 * In))],
        });
    }

    public void Dispose() => _models.Dispose();

    [TestCase(true, false)]
    [TestCase(false, false)]
    [TestCase(true, true)]
    public async Task An_adapter_of_the_whole_rank_gives_the_expert_again(bool distribute, bool embedLora)
    {
        var options = new ExtractionOptions { Rank = 16, DistributeScale = distribute, EmbedLora = embedLora };
        await Extract("expert", "lora", options);
        var expert = Tensors("expert");
        foreach (var (name, tensor) in await Applied("lora"))
            Assert.That(tensor.Values, Is.EqualTo(expert[name].Values).Within(3e-6), name);
    }

    [TestCase(1)]
    [TestCase(3)]
    public async Task A_lower_rank_misses_the_expert_by_the_energy_that_it_reports(int rank)
    {
        AdapterReport report = await Extract("expert", "lora", new ExtractionOptions { Rank = rank });
        (string, int)[] expected = [(Layer + "down", rank), (Layer + "up", rank)];
        Assert.That(report.Modules.Select(m => (m.Name, m.Rank)), Is.EqualTo(expected));
        Dictionary<string, GoldenTensor> basis = Tensors("base"), expert = Tensors("expert");
        Dictionary<string, GoldenTensor> applied = await Applied("lora");
        foreach (var module in report.Modules)
        {
            string name = module.Name + ".weight";
            double missed = Distance(expert[name], applied[name]) / Distance(expert[name], basis[name]);
            Assert.That(module.CapturedEnergy, Is.InRange(0.1, 0.99));
            Assert.That(missed * missed, Is.EqualTo(1 - module.CapturedEnergy).Within(1e-4), name);
        }
    }

    [TestCase(0.5)]
    [TestCase(0.9)]
    [TestCase(0.999)]
    public async Task The_smallest_rank_that_holds_the_share_is_taken(double share)
    {
        var all = (await Extract("expert", "all", new ExtractionOptions { Rank = Delta })).Modules;
        var modules = (await Extract("expert", "lora", new ExtractionOptions { Energy = share })).Modules;
        Assert.That(modules.Select(m => m.CapturedEnergy), Is.All.GreaterThanOrEqualTo(share - 1e-6));
        for (int i = 0; i < modules.Count; i++)
        {
            int fewer = modules[i].Rank - 1;
            Assert.That(modules[i].Rank, Is.LessThanOrEqualTo(all[i].Rank));
            if (fewer == 0)
                continue;
            var options = new ExtractionOptions { Rank = fewer, Include = [modules[i].Name + "$"], Restart = true };
            var less = (await Extract("expert", "less", options)).Modules;
            Assert.That(less.Single().CapturedEnergy, Is.LessThan(share));
        }

        var capped = (await Extract("expert", "capped", new ExtractionOptions { Energy = share, Rank = 2 })).Modules;
        Assert.That(capped.Select(m => m.Rank), Is.EqualTo(modules.Select(m => Math.Min(m.Rank, 2))));
    }

    [Test]
    public async Task Modules_that_did_not_change_are_left_out_and_ranks_stand_in_patterns()
    {
        await Extract("expert", "lora", new ExtractionOptions { Energy = 0.7 });
        JsonElement config = Config("lora");
        int most = config.GetProperty("r").GetInt32();
        Assert.That(config.GetProperty("lora_alpha").GetInt32(), Is.EqualTo(most));
        Assert.That(Names(config, "target_modules"), Is.EquivalentTo(new[] { "up", "down" }));
        Assert.That(Names(config, "modules_to_save"), Is.EquivalentTo(new[] { "embed_tokens", "norm" }));
        Assert.That(config.GetProperty("lora_bias").GetBoolean());
        var tensors = Tensors("lora");
        Assert.That(tensors.Keys, Is.EquivalentTo(new[]
        {
            $"{Prefix}{Layer}up.lora_A.weight", $"{Prefix}{Layer}up.lora_B.weight", $"{Prefix}{Layer}up.lora_B.bias",
            $"{Prefix}{Layer}down.lora_A.weight", $"{Prefix}{Layer}down.lora_B.weight",
            Prefix + "model.embed_tokens.weight", Prefix + "model.norm.weight",
        }));
        foreach (string module in new[] { "up", "down" })
        {
            long rank = tensors[$"{Prefix}{Layer}{module}.lora_A.weight"].Shape[0];
            bool listed = config.GetProperty("rank_pattern").TryGetProperty(Layer + module, out var pattern);
            Assert.That(listed ? pattern.GetInt32() : most, Is.EqualTo(rank));
        }
    }

    [Test]
    public async Task A_module_that_is_not_everywhere_is_named_in_full()
    {
        float[] x = Values(4 * 4);
        using var models = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = [ToyModels.F32("a.0.q.weight", [4, 4], x), ToyModels.F32("a.1.q.weight", [4, 4], x)],
            ["expert"] = [ToyModels.F32("a.0.q.weight", [4, 4], x), ToyModels.F32("a.1.q.weight", [4, 4], Values(16))],
        });
        await LoraExtraction.RunAsync(models["base"], models["expert"], models["lora"]);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(models["lora"], "adapter_config.json")))!;
        Assert.That(config["target_modules"]!.ToJsonString(), Is.EqualTo("""["a.1.q"]"""));
    }

    [Test]
    public async Task Options_choose_what_is_stored_and_how()
    {
        var options = new ExtractionOptions
        {
            Rank = 2, Dtype = Dtype.BF16, SkipUndecomposable = true, Exclude = ["embed"], SavedModules = ["down"],
        };
        await Extract("expert", "lora", options);
        var tensors = Tensors("lora");
        Assert.That(tensors.Keys, Is.EquivalentTo(new[]
        {
            $"{Prefix}{Layer}up.lora_A.weight", $"{Prefix}{Layer}up.lora_B.weight", $"{Prefix}{Layer}up.lora_B.bias",
            $"{Prefix}{Layer}down.weight",
        }));
        Assert.That(tensors.Values.Select(t => t.Dtype), Is.All.EqualTo("BF16"));
    }

    [Test]
    public async Task The_bytes_do_not_depend_on_threads_or_on_an_interruption()
    {
        await Extract("expert", "one", new ExtractionOptions { Rank = 4, Threads = 1 });
        using var stop = new CancellationTokenSource();
        var options = new ExtractionOptions { Rank = 4, Threads = 2 };
        var progress = new Listener(p =>
        {
            if (p.TensorsDone == 1)
                stop.Cancel();
        });
        await Assert.CatchAsync<OperationCanceledException>(() => LoraExtraction.RunAsync(
            _models["base"], _models["expert"], _models["two"], options, progress, stop.Token));
        Assert.That(_models.Has("two", "adapter_model.safetensors"), Is.False);
        Assert.That(_models.Has("two", ".fusionkernels/part-00000"));
        AdapterReport report = await Extract("expert", "two", options);
        Assert.That(report.Modules.Select(m => m.CapturedEnergy), Is.All.Not.Null);
        Assert.That(Weights("two"), Is.EqualTo(Weights("one")));
        Assert.That(_models.Has("two", ".fusionkernels"), Is.False);
    }

    [Test]
    public async Task A_finished_adapter_is_kept_and_a_damaged_one_written_again()
    {
        var options = new ExtractionOptions { Rank = 4 };
        await Extract("expert", "lora", options);
        byte[] first = Weights("lora");
        Assert.That((await Extract("expert", "lora", options)).Reused);
        Assert.That((await Verification.RunAsync(_models["lora"])).Problems, Is.Empty);

        string path = Path.Combine(_models["lora"], "adapter_model.safetensors");
        byte[] damaged = [.. first];
        damaged[^3] ^= 1;
        File.WriteAllBytes(path, damaged);
        Assert.That((await Verification.RunAsync(_models["lora"])).Problems, Has.Count.EqualTo(1));
        Assert.That((await Extract("expert", "lora", options)).Reused, Is.False);
        Assert.That(Weights("lora"), Is.EqualTo(first));

        File.WriteAllBytes(path, first[..20]);
        await Extract("expert", "lora", options);
        Assert.That(Weights("lora"), Is.EqualTo(first));
        var other = options with { Rank = 5 };
        Assert.That(await Refusal(() => Extract("expert", "lora", other)), Does.Contain("only a restart"));
        other = other with { Restart = true };
        Assert.That((await Extract("expert", "lora", other)).Modules[0].Rank, Is.EqualTo(5));
    }

    [Test]
    public async Task An_embedding_of_another_size_is_stored_whole_with_a_warning()
    {
        var report = await Extract("larger", "lora", new ExtractionOptions { EmbedLora = true });
        Assert.That(Tensors("lora")[Prefix + "model.embed_tokens.weight"].Shape, Is.EqualTo(new long[] { 7, In }));
        Assert.That(report.Warnings.Single(), Does.Contain("model.embed_tokens.weight"));
    }

    [Test]
    public async Task An_expression_that_is_in_no_name_is_warned_of()
    {
        var options = new ExtractionOptions { Include = ["up", "attn"], Exclude = ["same", "xyz"] };
        Assert.That((await Extract("expert", "lora", options)).Warnings, Is.EqualTo(new[]
        {
            "'attn' is found in no module's name", "'xyz' is found in no module's name",
        }));
    }

    [Test]
    public async Task What_cannot_be_extracted_is_one_line_with_file_and_tensor()
    {
        var options = new ExtractionOptions();
        Assert.That(
            await Refusal(() => Extract("nan", "a", options)),
            Does.Contain("nan/").And.Contain("up.weight").And.Contain("NaN"));
        Assert.That(
            await Refusal(() => Extract("wide", "b", options)), Does.Contain("[24, 41]").And.Contain("up.weight"));
        Assert.That(
            await Refusal(() => Extract("half", "b", options)), Does.Contain("down.weight").And.Contain("half"));
        Assert.That(await Refusal(() => Extract("expert", "c", options with { Include = ["("] })), Does.Contain("'('"));
        Assert.That(
            await Refusal(() => Extract("base", "d", options with { SkipUndecomposable = true, Exclude = ["embed"] })),
            Does.Contain("nothing"));
        Assert.That(await Refusal(() => Extract("base", "e", options)), Does.Contain("no module has a rank above 0"));
        Assert.That(Directory.EnumerateFileSystemEntries(_models["e"]), Is.Empty);
        Assert.That(
            await Refusal(() => Extract("expert", "f", options with { Include = ["nomatch"] })),
            Does.EndWith("no module is left to make factors of"));
        Assert.That(
            await Refusal(() => Extract("expert", "f", options with { SavedModules = ["dwon"] })),
            Is.EqualTo("no module to be stored whole is called 'dwon' (did you mean 'down'?)"));
        Assert.That(Directory.Exists(_models["f"]), Is.False);
        Assert.That(await Refusal(() => Extract("expert", "expert/lora", options)), Does.Contain("input folder"));
        ExtractionOptions[] outside =
            [options with { Rank = 0 }, options with { Energy = 2 }, options with { Dtype = Dtype.I8 }];
        foreach (var wrong in outside)
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Extract("expert", "e", wrong));
    }

    private static async Task<string> Refusal(Func<Task> action) =>
        (await Assert.ThrowsAsync<MergeException>(action))!.Message;

    private Task<AdapterReport> Extract(string expert, string output, ExtractionOptions options) =>
        LoraExtraction.RunAsync(_models["base"], _models[expert], _models[output], options);

    private async Task<Dictionary<string, GoldenTensor>> Applied(string adapter)
    {
        string output = adapter + "-applied";
        await Merge.RunAsync(Recipe.For("passthrough").Add($"{_models["base"]}+{_models[adapter]}"), _models[output]);
        return Tensors(output);
    }

    private Dictionary<string, GoldenTensor> Tensors(string model) => RecipeGoldenTests.Tensors(_models[model]);

    private byte[] Weights(string adapter) =>
        File.ReadAllBytes(Path.Combine(_models[adapter], "adapter_model.safetensors"));

    private JsonElement Config(string adapter) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(_models[adapter], "adapter_config.json"))).RootElement;

    private static IEnumerable<string?> Names(JsonElement config, string key) =>
        config.GetProperty(key).EnumerateArray().Select(n => n.GetString());

    private static double Distance(GoldenTensor x, GoldenTensor y) =>
        Math.Sqrt(x.Values.Zip(y.Values, (a, b) => (a - b) * (a - b)).Sum());

    private float[] LowRank(int rows, int columns)
    {
        float[] left = Values(rows * Delta), right = Values(Delta * columns);
        return [.. Enumerable.Range(0, rows * columns).Select(i => Enumerable.Range(0, Delta).Sum(
            k => left[((i / columns) * Delta) + k] * right[(k * columns) + (i % columns)]))];
    }

    private static float[] Add(float[] x, float[] y) => [.. x.Zip(y, (a, b) => a + b)];

    private float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => _random.NextSingle() - 0.5f)];

    private sealed class Listener(Action<MergeProgress> report) : IProgress<MergeProgress>
    {
        public void Report(MergeProgress value) => report(value);
    }
}
