using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Recipes of layers that are drawn.</summary>
public sealed class LayerShuffleTests : IDisposable
{
    private const int Layers = 40;

    private readonly TemporaryModels _models = new(ToyModels.Family(
        2,
        [
            ("model.embed_tokens.weight", [4, 2]),
            .. Enumerable.Range(0, Layers).Select(i => ($"model.layers.{i}.w", new long[] { 2 })),
        ]));

    public void Dispose() => _models.Dispose();

    [Test]
    public void Every_layer_keeps_its_place_and_comes_from_a_model_by_weight()
    {
        var picks = Picks(Draw(5, false, ("m0", 3), ("m1", 1)));
        Assert.That(picks.Select(p => p.Layer), Is.EqualTo(Enumerable.Range(0, Layers)));
        Assert.That(picks.Count(p => p.Model == "m0"), Is.InRange(22, 38));
        Assert.That(Picks(Draw(5, false, ("m0", 3), ("m1", 1))), Is.EqualTo(picks));
        Assert.That(Picks(Draw(6, false, ("m0", 3), ("m1", 1))), Is.Not.EqualTo(picks));
    }

    [Test]
    public void Neighbours_of_one_model_are_one_slice()
    {
        var sources = Draw(5, false, ("m0", 1), ("m1", 1)).Slices.Select(s => s.Sources[0]).ToArray();
        Assert.That(sources.Zip(sources.Skip(1)), Has.None.Matches<(RecipeModel A, RecipeModel B)>(p =>
            p.A.Path == p.B.Path && p.A.Layers!.Value.End == p.B.Layers!.Value.First));
    }

    [Test]
    public void A_model_of_weight_zero_gives_no_layer() =>
        Assert.That(Picks(Draw(5, false, ("m0", 0), ("m1", 1))).Select(p => p.Model), Is.All.EqualTo("m1"));

    [Test]
    public void Full_random_draws_as_many_layers_of_a_model_as_its_weight_says_from_all_of_them()
    {
        var picks = Picks(Draw(5, true, ("m0", 0.75), ("m1", 0.27)));
        Assert.That((picks.Count(p => p.Model == "m0"), picks.Count(p => p.Model == "m1")), Is.EqualTo((30, 10)));
        Assert.That(Picks(Draw(5, true, ("m0", 1), ("m1", 1.5))), Has.Length.EqualTo(Layers + (Layers * 3 / 2)));
        Assert.That(picks.Where(p => p.Model == "m1").Max(p => p.Layer), Is.GreaterThan(10), "not the first ten");
        Assert.That(picks.Select(p => p.Model).Take(30).Distinct().Count(), Is.EqualTo(2), "shuffled");
    }

    [Test]
    public async Task The_recipe_runs()
    {
        var report = await Merge.RunAsync(
            Draw(5, true, ("m0", 1), ("m1", 1)), _models["out"], new MergeOptions { ModelRoot = _models.Root });
        Assert.That(report.Tensors, Is.EqualTo((2 * Layers) + 1));
    }

    [Test]
    public void Weights_that_give_no_layer_are_refused()
    {
        Assert.That(
            () => Draw(0, false, ("m0", 0)), Throws.TypeOf<MergeException>().With.Message.Contains("more than 0"));
        foreach (var (weight, layers) in new[] { (0.02, "0"), (1000, "40000"), (1e300, "4") })
        {
            Assert.That(
                () => Draw(0, true, ("m0", weight)),
                Throws.TypeOf<MergeException>().With.Message.StartsWith($"the weights ask for {layers}"));
        }
    }

    private Recipe Draw(ulong seed, bool fullRandom, params (string, double)[] models) =>
        LayerShuffle.Draw(models, fullRandom, new MergeOptions { ModelRoot = _models.Root, Seed = seed });

    private static (string Model, int Layer)[] Picks(Recipe recipe) => [.. recipe.Slices.SelectMany(s =>
    {
        var (first, end) = s.Sources[0].Layers!.Value;
        return Enumerable.Range(first, end - first).Select(layer => (s.Sources[0].Path, layer));
    })];
}
