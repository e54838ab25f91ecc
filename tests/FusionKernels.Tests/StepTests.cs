using System.Runtime.InteropServices;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>
/// A recipe whose models are outputs of other recipes, against the same recipes run one after the other over files.
/// </summary>
public sealed class StepTests : IDisposable
{
    private readonly TemporaryModels _models = new(ToyModels.Family(
        3,
        ("model.embed_tokens.weight", [40, 96]),
        ("lm_head.weight", [40, 96]),
        ("model.layers.0.mlp.up_proj.weight", [96, 257]),
        ("model.layers.1.mlp.up_proj.weight", [96, 257]),
        ("model.norm.weight", [257]),
        ("model.wide.weight", [2, 17000]),
        ("scalar", [])));

    private int _outputs;

    public void Dispose() => _models.Dispose();

    private static readonly MergeOptions[] Runs =
    [
        new() { Threads = 1, Seed = 3 },
        new() { Threads = 3, Seed = 3, ChunkElements = 4096, MaxShardBytes = 80_000 },
    ];

    private static IEnumerable<TestCaseData> Methods() => Recipes().Select(r => new TestCaseData(r).SetArgDisplayNames(
        r.MergeMethod + (r.Rng == default ? "" : " torch") + string.Concat(r.Parameters.Select(p => $" {p.Key}={p.Value}"))));

    // What a model of the family and a step "inner" are merged with.
    private static IEnumerable<Recipe> Recipes()
    {
        foreach (string method in new[] { "linear", "multislerp", "karcher", "nuslerp" })
            yield return Merge(method, "m2");
        yield return Recipe.For("slerp").WithBase("base").Add("inner").With("t", 0.4);
        yield return Recipe.For("arcee_fusion").WithBase("inner").Add("m2");
        yield return Recipe.For("passthrough").Add("inner");
        yield return Recipe.For("model_stock").WithBase("base").Add("inner").Add("m2").With("filter_wise", 1);
        yield return Recipe.For("sce").WithBase("base").Add("inner").Add("m2").With("select_topk", 0.4);
        foreach (string method in new[] { "task_arithmetic", "ties", "breadcrumbs", "dare_linear", "dare_ties" })
            yield return Merge(method, "m2").WithBase("base");
        yield return Merge("ties", "m2").WithBase("base").With("variant", Setting.Choice("paper"));
        yield return Merge("ties", "m2").WithBase("inner") with { Models = Merge("ties", "m1", "m2").Models };
        yield return Merge("dare_ties", "m2").WithBase("base") with { Rng = RandomGenerator.Torch };

        static Recipe Merge(string method, params string[] others)
        {
            bool sparse = method is "ties" or "breadcrumbs" or "dare_linear" or "dare_ties";
            (string, Setting)[] parameters = method == "karcher" ? []
                : sparse ? [("weight", 0.6), ("density", 0.4)] : [("weight", 0.6)];
            return others.Append("inner").Aggregate(Recipe.For(method), (r, model) => r.Add(model, parameters));
        }
    }

    // The step's own methods trim, draw, survey the whole model, and write another dtype than they read.
    private static Recipe[] Inner(string name) =>
    [
        Recipe.For("dare_ties").WithBase("base").Add("m0", ("weight", 0.5), ("density", 0.5))
            .Add("m1", ("weight", 0.7), ("density", 0.3)) with { Name = name },
        Recipe.For("ties").WithBase("base").With("variant", Setting.Choice("paper")).WithDtype("float32")
            .Add("m0", ("weight", 0.5), ("density", 0.5))
            .Add("m1", ("weight", 0.7), ("density", 0.3)) with { Name = name },
    ];

    [TestCaseSource(nameof(Methods))]
    public async Task A_step_gives_the_bytes_of_its_written_output(Recipe recipe)
    {
        foreach (var inner in Inner("inner"))
        {
            await Run(inner with { Rng = recipe.Rng }, "inner", Runs[1]);
            await Run(recipe, "expected", Runs[1]);
            Directory.Delete(_models["inner"], recursive: true);
            await Run(recipe with { Steps = [inner with { Rng = recipe.Rng }] }, "streamed", Runs[1]);
            AssertSameShards();
        }
    }

    [Test]
    public async Task Steps_of_steps_and_one_step_in_two_places_give_the_same_bytes_too()
    {
        Recipe deep = Inner("deep")[0];
        var left = Recipe.For("ties").WithBase("base").Add("deep", ("weight", 1), ("density", 0.3))
            .Add("m2", ("weight", 1), ("density", 0.6)) with { Name = "left" };
        var right = Recipe.For("slerp").WithBase("deep").Add("m2").With("t", 0.3).WithDtype("float16")
            with { Name = "right" };
        var recipe = Recipe.For("dare_linear").WithBase("base").Add("left", ("weight", 0.5), ("density", 0.5))
            .Add("right", ("weight", 0.5), ("density", 0.5)).Add("deep", ("weight", 0.2), ("density", 0.9));
        foreach (var options in Runs)
        {
            foreach (var step in new[] { deep, left, right })
                await Run(step, step.Name!, options);
            await Run(recipe, "expected", options);
            foreach (var step in new[] { deep, left, right })
                Directory.Delete(_models[step.Name!], recursive: true);
            await Run(recipe with { Steps = [right, left, deep] }, "streamed", options);
            AssertSameShards();
        }
    }

    [Test]
    public async Task Workers_that_want_the_same_tensors_of_steps_share_them()
    {
        // Forty copies of one layer, handed out to eight workers, each of them computed by way of two steps.
        Recipe deep = Inner("deep")[0];
        var middle = Recipe.For("slerp").WithBase("deep").Add("m2").With("t", 0.3) with { Name = "middle" };
        var recipe = Enumerable.Range(0, 20).Aggregate(
            Recipe.For("linear").With("weight", 1),
            (r, _) => r.AddSlice(Layer("middle"), Layer("deep")).AddSlice(Layer("deep"), Layer("middle")));
        var options = Runs[1] with { Threads = 8, MaxShardBytes = 1L << 30 };
        foreach (var step in new[] { deep, middle })
            await Run(step, step.Name!, options);
        await Run(recipe, "expected", options);
        foreach (var step in new[] { deep, middle })
            Directory.Delete(_models[step.Name!], recursive: true);
        await Run(recipe with { Steps = [middle, deep] }, "streamed", options);
        AssertSameShards();

        static RecipeModel Layer(string model) => new(model) { Layers = (0, 1) };
    }

    [Test]
    public async Task An_adapter_is_applied_to_the_output_of_a_step()
    {
        Directory.CreateDirectory(_models["lora"]);
        _models.Write("lora", "adapter_config.json", """{"peft_type": "LORA", "r": 1, "lora_alpha": 2}""");
        const string Module = "base_model.model.model.layers.0.mlp.up_proj";
        float[] a = [.. Enumerable.Range(0, 257).Select(i => i / 900f)], b = [.. Enumerable.Range(0, 96).Select(i => i / 700f)];
        SafetensorsWriter.Write(Path.Combine(_models["lora"], "adapter_model.safetensors"),
        [
            (new TensorSpec(Module + ".lora_A.weight", Dtype.F32, [1, 257]), MemoryMarshal.AsBytes(a.AsSpan()).ToArray()),
            (new TensorSpec(Module + ".lora_B.weight", Dtype.F32, [96, 1]), MemoryMarshal.AsBytes(b.AsSpan()).ToArray()),
        ]);
        var step = Inner("inner")[0];
        var recipe = Recipe.For("slerp").WithBase("base").Add("inner+lora").With("t", 0.4);
        await Run(step, "inner", Runs[1]);
        await Run(recipe, "expected", Runs[1]);
        Directory.Delete(_models["inner"], recursive: true);
        await Run(recipe with { Steps = [step] }, "streamed", Runs[1]);
        AssertSameShards();
    }

    [Test]
    public async Task The_config_of_a_step_is_carried_on()
    {
        _models.Write(
            "m0",
            "config.json",
            """{"num_hidden_layers": 2, "torch_dtype": "bfloat16", "keep": 1, "tie_word_embeddings": true}""");
        var stack = Recipe.For("passthrough").AddSlice(new RecipeModel("m0") { Layers = (0, 2) })
            .AddSlice(new RecipeModel("m0") { Layers = (1, 2) }) with { Name = "stack" };
        await Run(Recipe.For("passthrough").Add("stack").WithDtype("float32") with { Steps = [stack] }, "out", Runs[0]);
        string config = File.ReadAllText(Path.Combine(_models["out"], "config.json"));
        foreach (string kept in new[] { "\"num_hidden_layers\": 3", "\"float32\"", "\"keep\": 1" })
            Assert.That(config, Does.Contain(kept));
        Assert.That(config, Does.Contain("\"tie_word_embeddings\": false"), "the head is not the embedding");
    }

    [Test]
    public async Task A_step_that_no_model_is_gets_a_warning_and_those_of_a_step_name_it()
    {
        var lacking = Recipe.For("linear").Add("m0", ("weight", 1), ("densty", 1)) with { Name = "inner" };
        var recipe = Recipe.For("passthrough").Add("inner") with { Steps = [lacking, lacking with { Name = "idle" }] };
        var report = await Run(recipe, "out", Runs[0] with { Lenient = true });
        Assert.That(report.Warnings, Has.Some.StartsWith("inner: ").And.Some.Contain("no model is 'idle'"));
        Assert.That(report.BytesRead, Is.GreaterThan(0));
    }

    [Test]
    public async Task A_circle_is_refused_by_its_names() => Assert.That(
        await Refusal(Recipe.For("passthrough").Add("a") with { Steps = [Copy("a", "b"), Copy("b", "a")] }),
        Does.Contain("go round in a circle: 'a' needs 'b' needs 'a'"));

    [Test]
    public async Task Two_steps_of_one_name_are_refused() => Assert.That(
        await Refusal(Recipe.For("passthrough").Add("a") with { Steps = [Copy("a", "m0"), Copy("a", "m1")] }),
        Does.Contain("two recipes are called 'a'"));

    [Test]
    public async Task A_fault_of_a_step_names_the_step() => Assert.That(
        await Refusal(Recipe.For("passthrough").Add("a") with
        {
            Steps = [Recipe.For("linear").Add("m0") with { Name = "a" }],
        }),
        Does.StartWith("a: ").And.Contain("'weight' is missing"));

    [Test]
    public async Task A_name_that_is_no_step_and_no_path_is_refused_with_a_suggestion()
    {
        var recipe = Recipe.For("passthrough").Add("avrage") with { Steps = [Copy("average", "m0")] };
        var error = (await Assert.CatchAsync(() => Run(recipe, "out", Runs[0])))!;
        Assert.That(error.Message, Does.Contain("no recipe is called 'avrage' (did you mean 'average'?)"));
        Assert.That(Directory.Exists(_models["out"]), Is.False);
    }

    [Test]
    public async Task Steps_that_do_not_fit_in_memory_are_refused_by_tensor_before_anything_is_written()
    {
        var recipe = Recipe.For("linear").Add("a", ("weight", 1)).Add("b", ("weight", 1))
            with { Steps = [Copy("a", "m0"), Copy("b", "m1")] };
        var options = Runs[0] with { MemoryBytes = 50_000 };
        var error = (await Assert.ThrowsAsync<MergeException>(() => Run(recipe, "out", options)))!;
        Assert.That(error.Message, Does.Contain("model.wide.weight"));
        Assert.That(error.Message, Does.Contain("136000 bytes of memory, 118000 are allowed"));
        Assert.That(Directory.Exists(_models["out"]), Is.False);
    }

    [Test]
    public async Task An_interrupted_chain_resumes_and_a_changed_step_is_another_merge()
    {
        var recipe = Recipe.For("linear").Add("inner", ("weight", 1)).Add("m2", ("weight", 1))
            with { Steps = [Inner("inner")[0]] };
        await Run(recipe, "out", Runs[1]);
        var again = await Merge.RunAsync(recipe, _models["out"], Runs[1] with { ModelRoot = _models.Root });
        Assert.That(again.ShardsReused, Is.EqualTo(again.Shards));
        var other = recipe with { Steps = [Inner("inner")[1]] };
        var error = (await Assert.ThrowsAsync<MergeException>(() =>
            Merge.RunAsync(other, _models["out"], Runs[1] with { ModelRoot = _models.Root })))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Changed));
    }

    private static Recipe Copy(string name, string model) => Recipe.For("passthrough").Add(model) with { Name = name };

    private async Task<string> Refusal(Recipe recipe)
    {
        var error = (await Assert.ThrowsAsync<MergeException>(() => Run(recipe, $"refused{_outputs++}", Runs[0])))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Recipe));
        Assert.That(error.Message, Does.Not.Contain("\n"));
        return error.Message;
    }

    private Task<MergeReport> Run(Recipe recipe, string output, MergeOptions options)
    {
        if (Directory.Exists(_models[output]))
            Directory.Delete(_models[output], recursive: true);
        return Merge.RunAsync(recipe, _models[output], options with { ModelRoot = _models.Root });
    }

    private void AssertSameShards()
    {
        string[] expected = Directory.GetFiles(_models["expected"], "*.safetensors*");
        Assert.That(expected, Is.Not.Empty);
        foreach (string shard in expected)
        {
            byte[] streamed = File.ReadAllBytes(Path.Combine(_models["streamed"], Path.GetFileName(shard)));
            Assert.That(streamed.AsSpan().SequenceEqual(File.ReadAllBytes(shard)), Path.GetFileName(shard));
        }
    }
}
