using FusionKernels.Kernels;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>
/// Masks of <c>rng: torch</c>, seen through merges of deltas of one: without rescaling an element of the output is the
/// weight of the model where it is kept. Expected is the plain sequence, taken from one generator in mergekit's order.
/// </summary>
public class TorchMasksTests
{
    private const float Density = 0.3f;
    private const uint Seed = 42;

    private static readonly Recipe TwoModels = Recipe.For("dare_linear").WithBase("base")
        .Add("a", ("weight", 1), ("density", Density)).Add("b", ("weight", 2), ("density", Density))
        .With("rescale", 0) with { Rng = RandomGenerator.Torch };

    [Test]
    public void Tensors_draw_in_ordinal_order_of_their_names_and_models_in_recipe_order()
    {
        var models = Models(["model.layers.2.w", "model.layers.10.w", "lm_head.weight"]);
        var generator = new Mt19937(Seed);
        var expected = new[] { "lm_head.weight", "model.layers.10.w", "model.layers.2.w" }
            .ToDictionary(name => name, _ => Sum(Draw(generator, 1000), Draw(generator, 1000)));
        AssertMerge(TwoModels, models, expected);
    }

    [Test]
    public void Nothing_is_drawn_for_a_whole_delta_and_the_seed_counts_modulo_two_to_the_32()
    {
        var whole = new RecipeModel("a") { Parameters = new Dictionary<string, Setting> { ["weight"] = 1 } };
        var recipe = TwoModels with { Models = [whole, TwoModels.Models[1]] };
        var generator = new Mt19937(Seed);
        bool[] all = [.. Enumerable.Repeat(true, 1000)];
        var expected = new[] { "u", "v" }.ToDictionary(name => name, _ => Sum(all, Draw(generator, 1000)));
        AssertMerge(recipe, Models(["u", "v"]), expected, Seed + (1L << 32));
    }

    [Test]
    public void The_density_is_rounded_to_the_working_dtype()
    {
        var models = Models(["w"], 100_000);
        bool[] Draws(double density) => Draw(new Mt19937(Seed), 100_000, density);
        var oneModel = TwoModels with { Models = [TwoModels.Models[0]] };
        AssertMerge(oneModel.WithDtype("bfloat16", "float32"), models, new() { ["w"] = Sum(Draws(0.30078125)) });
        AssertMerge(oneModel.WithDtype("float16", "float32"), models, new() { ["w"] = Sum(Draws(Density)) });
    }

    [Test]
    public void A_head_that_a_model_ties_comes_after_the_embedding()
    {
        var models = Models(["lm_head.weight", "model.embed_tokens.weight", "model.layers.0.w"]);
        models["b"] = [.. models["b"].Where(t => t.Name != "lm_head.weight")];
        var generator = new Mt19937(Seed);
        var expected = new[] { "model.embed_tokens.weight", "lm_head.weight", "model.layers.0.w" }
            .ToDictionary(name => name, _ => Sum(Draw(generator, 1000), Draw(generator, 1000)));
        AssertMerge(TwoModels, models, expected);
    }

    [Test]
    public void Stacked_layers_draw_in_the_order_of_their_sources_names()
    {
        // Output layer 0 comes from layer 1, output layer 1 from layer 0.
        var models = Models(["model.layers.0.w", "model.layers.1.w"]);
        RecipeModel Source(string path, int layer) => new(path) { Layers = (layer, layer + 1) };
        var recipe = (TwoModels with { Models = [] }).With("weight", 1).With("density", Density)
            .AddSlice(Source("base", 1), Source("a", 1)).AddSlice(Source("base", 0), Source("a", 0));
        var generator = new Mt19937(Seed);
        float[] fromLayer0 = Sum(Draw(generator, 1000)), fromLayer1 = Sum(Draw(generator, 1000));
        AssertMerge(recipe, models, new() { ["model.layers.0.w"] = fromLayer1, ["model.layers.1.w"] = fromLayer0 });
    }

    [Test]
    public void Large_tensors_are_drawn_in_stretches_by_several_threads()
    {
        int length = (2 << 20) + 12345;
        var models = Models(["w"], length);
        var generator = new Mt19937(Seed);
        AssertMerge(TwoModels, models, new() { ["w"] = Sum(Draw(generator, length), Draw(generator, length)) });
    }

    [Test]
    public async Task A_run_that_resumes_draws_what_the_first_one_would_have()
    {
        using var folder = new TemporaryModels(Models(["u", "v", "w"]));
        string output = folder["out"];
        var options = new MergeOptions { Threads = 1, Seed = Seed, ModelRoot = folder.Root, MaxShardBytes = 4000 };
        await Merge.RunAsync(TwoModels, output, options);
        string last = Path.Combine(output, "model-00003-of-00003.safetensors");
        byte[] before = await File.ReadAllBytesAsync(last);
        File.Delete(last);
        var report = await Merge.RunAsync(TwoModels, output, options);
        Assert.That(report.ShardsReused, Is.EqualTo(2));
        Assert.That(await File.ReadAllBytesAsync(last), Is.EqualTo(before));
    }

    private static Dictionary<string, MemoryTensor[]> Models(string[] names, int length = 1000)
    {
        MemoryTensor[] Filled(float value) =>
            [.. names.Select(n => ToyModels.F32(n, [length, 1], [.. Enumerable.Repeat(value, length)]))];
        return new() { ["base"] = Filled(0), ["a"] = Filled(1), ["b"] = Filled(1) };
    }

    private static bool[] Draw(Mt19937 generator, int length, double density = Density)
    {
        var words = new uint[length];
        generator.Fill(words);
        return [.. words.Select(w => (w & 0xFFFFFF) * Math.ScaleB(1, -24) < density)];
    }

    private static float[] Sum(params bool[][] masks) =>
        [.. Enumerable.Range(0, masks[0].Length).Select(i => masks.Select((m, model) => m[i] ? model + 1f : 0).Sum())];

    private static void AssertMerge(
        Recipe recipe,
        Dictionary<string, MemoryTensor[]> models,
        Dictionary<string, float[]> expected,
        ulong seed = Seed)
    {
        foreach (int threads in new[] { 1, 3 })
        {
            var merged = InMemoryMerge.Run(recipe, models, new MergeOptions { Threads = threads, Seed = seed });
            foreach (var (name, values) in expected)
                Assert.That(merged[name].Floats().AsSpan().SequenceEqual(values), $"{name}, {threads} threads");
        }
    }
}
