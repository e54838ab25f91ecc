using System.Numerics;
using FusionKernels.Recipes;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>What sce selects and writes, against scalar code, over several chunks and threads.</summary>
public class SceTests
{
    private const string Name = "model.layers.0.mlp.up_proj.weight";

    [TestCase(1, 3, 40_000, 0.37)]
    [TestCase(2, 2, 12_289, 0.9)]
    [TestCase(3, 4, 20_000, 0.001)]
    [TestCase(4, 3, 5000, 1)]
    [TestCase(5, 3, 30, 0.99)]
    [TestCase(6, 2, 1, 0.5)]
    public void A_merge_is_that_of_scalar_code(int seed, int models, int length, double share)
    {
        // Few levels: most variances tie, many are zero, and the border of the selection lies among ties.
        foreach (int levels in new[] { 2, 5, 100_000 })
        {
            float[][] values = Values(seed, models + 1, length, levels);
            float[] expected = SceFormula.Read(Case(values, share), WorkingType.F32, turned: 0).Values;
            Assert.That(Merge(values, share), Is.EqualTo(expected).Within(2e-7f), $"{levels} levels");
        }
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(0.001)]
    public void A_share_that_selects_nothing_gives_the_base(double share)
    {
        float[][] values = Values(1, 3, 500, 5);
        Assert.That(Merge(values, share), Is.EqualTo(values[0]));
    }

    [Test]
    public void One_model_does_not_vary_so_part_of_it_is_nothing()
    {
        float[][] values = Values(1, 2, 500, 5);
        Assert.That(Merge(values, 0.5), Is.EqualTo(values[0]));
        Assert.That(Merge(values, 1), Is.EqualTo(values[1]).Within(1e-7f));
    }

    [Test]
    public void Models_that_agree_select_nothing()
    {
        float[][] values = Values(1, 2, 500, 5);
        Assert.That(Merge([values[0], values[1], values[1]], 0.5), Is.EqualTo(values[0]));
    }

    // The base first. Values are multiples of a power of two, so that equal variances are equal in any arithmetic.
    private static float[][] Values(int seed, int count, int length, int levels)
    {
        var random = new Random(seed);
        float scale = BitOperations.RoundUpToPowerOf2((uint)levels);
        return [.. Enumerable.Range(0, count).Select(m =>
            Enumerable.Range(0, length).Select(_ => (random.Next(levels) - (levels / 2)) / scale).ToArray())];
    }

    private static string NameOf(int model) => model == 0 ? "base" : $"m{model}";

    private static TensorCase Case(float[][] values, double share) => new()
    {
        Id = "sce",
        Method = "sce",
        Base = "base",
        Models = [.. values.Select((v, m) => new CaseModel(NameOf(m), GoldenTensor.F32([v.Length], v)))],
        Parameters = new Dictionary<string, double> { ["select_topk"] = share },
    };

    private static float[] Merge(float[][] values, double share)
    {
        var models = values.Select((v, m) => (Model: NameOf(m), Tensor: ToyModels.F32(Name, [v.Length], v)))
            .ToDictionary(m => m.Model, m => new[] { m.Tensor });
        var recipe = Recipe.For("sce").WithBase("base");
        for (int m = 1; m < values.Length; m++)
            recipe = recipe.Add(NameOf(m));
        var options = new MergeOptions { Threads = 2, ChunkElements = 4096 };
        return InMemoryMerge.Run(recipe.With("select_topk", share), models, options)[Name].Floats();
    }
}
