using FsCheck;
using FsCheck.Fluent;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>What breadcrumbs cuts, against a stable sort, over several chunks and threads.</summary>
public class BreadcrumbsTests
{
    private const string Name = "model.layers.0.w";

    [Test]
    public void What_is_left_is_the_middle_of_a_stable_sort()
    {
        var cases =
            from length in Gen.OneOf(Gen.Choose(1, 300), Gen.Choose(20_000, 40_000))
            from density in Gen.Choose(0, 100)
            from gamma in Gen.Choose(0, 100)
            from levels in Gen.Elements(1, 3, 1000)
            from seed in Gen.Choose(0, 1000)
            select (length, density: density / 100.0, gamma: gamma / 100.0, levels, seed);
        Check.One(
            Config.QuickThrowOnFailure.WithReplay(3, 5).WithMaxTest(60),
            Prop.ForAll(cases.ToArbitrary(), c =>
            {
                float[] delta = Deltas(c.length, c.levels, c.seed);
                Assert.That(
                    Kept(delta, ("density", c.density), ("gamma", c.gamma)), Is.EqualTo(Middle(delta, c.density, c.gamma)), c.ToString());
            }));
    }

    [Test]
    public void Without_an_outlier_only_the_small_elements_go_unless_the_recipe_erases()
    {
        float[] delta = [3, -1, 2, -4];
        Assert.That(Kept(delta, ("density", 0.5)), Is.EqualTo(new[] { true, false, false, true }));
        Assert.That(Kept(delta, ("density", 0.5), ("zero_gamma", Setting.Choice("erase"))), Has.None.True);
        Assert.That(Kept(delta, ("density", 1), ("zero_gamma", Setting.Choice("erase"))), Has.All.True);
        Assert.That(Kept(delta, ("density", 0.5), ("gamma", 0.25), ("zero_gamma", Setting.Choice("erase"))), Is.EqualTo(new[] { true, false, true, false }));
    }

    [TestCase("keep", "keeps its large elements")]
    [TestCase("erase", "is erased")]
    public void Tensors_without_an_outlier_are_named_in_a_warning(string word, string done)
    {
        var recipe = RecipeOf(("density", 0.5), ("zero_gamma", Setting.Choice(word)));
        Assert.That(Warnings(recipe, 50), Has.One.Contains(done).And.One.Contains(Name));
        Assert.That(Warnings(recipe, 200), Is.Empty);
        Assert.That(Warnings(RecipeOf(("density", 1)), 50), Is.Empty);
    }

    [TestCase(-0.01)]
    [TestCase(1.5)]
    [TestCase(double.NaN)]
    public void A_gamma_that_is_no_share_is_refused_with_model_and_tensor(double gamma)
    {
        var error = Assert.Throws<MergeException>(() => Kept([1, 2], ("gamma", gamma)))!;
        Assert.That(error.Message, Does.Contain("'gamma'").And.Contain("m0").And.Contain(Name));
    }

    private static IReadOnlyList<string> Warnings(Recipe recipe, int length)
    {
        InMemoryMerge.Run(recipe, Models(Deltas(length, 10, 1)), out var report);
        return report.Warnings;
    }

    private static bool[] Kept(float[] delta, params (string Name, Setting Value)[] parameters)
    {
        var options = new MergeOptions { Threads = 3, ChunkElements = 4096 };
        float[] merged = InMemoryMerge.Run(RecipeOf(parameters), Models(delta), options)[Name].Floats();
        return [.. merged.Select(v => v != 0)];
    }

    private static Recipe RecipeOf(params (string Name, Setting Value)[] parameters) =>
        parameters.Aggregate(Recipe.For("breadcrumbs").WithBase("base").Add("m0", ("weight", 1)), (r, p) => r.With(p.Name, p.Value));

    private static Dictionary<string, MemoryTensor[]> Models(float[] delta) => new()
    {
        ["base"] = [ToyModels.F32(Name, [delta.Length], new float[delta.Length])],
        ["m0"] = [ToyModels.F32(Name, [delta.Length], delta)],
    };

    /// <summary>Nonzero values of few magnitudes or many.</summary>
    private static float[] Deltas(int length, int levels, int seed)
    {
        var random = new System.Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (random.Next(levels) + 1) * (random.Next(2) == 0 ? 1f : -1f))];
    }

    private static bool[] Middle(float[] delta, double density, double gamma)
    {
        int n = delta.Length, target = (int)(density * n), top = (int)(gamma * n), bottom = n - target - top;
        if (density >= 1)
            return [.. delta.Select(_ => true)];
        if (bottom < 0)
            (top, bottom) = (top + bottom, 0);
        bool[] kept = new bool[n];
        foreach (int i in Enumerable.Range(0, n).OrderBy(i => MathF.Abs(delta[i])).ToArray()[bottom..(n - top)])
            kept[i] = true;
        return kept;
    }
}
