using FusionKernels.Kernels;
using FusionKernels.Recipes;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Which elements DELLA drops, which parameters it refuses, and its probabilities against mergekit's.</summary>
public class DellaTests
{
    private const string Name = "model.layers.0.w";

    // Rows along axis 1, whatever the number of axes; a scalar and a row of one element have the largest rank.
    [TestCase(new long[] { }, 1, 1)]
    [TestCase(new long[] { 700 }, 700, 1)]
    [TestCase(new long[] { 9, 1 }, 1, 1)]
    [TestCase(new long[] { 33, 70 }, 70, 1)]
    [TestCase(new long[] { 5, 40, 3, 3 }, 40, 9)]
    [TestCase(new long[] { 3, 4096, 2 }, 4096, 2)]
    [TestCase(new long[] { 100, 257 }, 257, 1)]
    public void Elements_are_kept_by_their_rank_within_the_row(long[] shape, int columns, int stride)
    {
        int length = (int)shape.Aggregate(1L, (a, b) => a * b);
        var random = new Random(length);
        float[] delta = [.. Enumerable.Range(0, length).Select(_ => (random.Next(50) + 1) * (random.Next(2) == 0 ? 1f : -1f))];
        var draw = new RankedDraw(Philox.ForTensor(11, Name, 0), 0.5, 0.3, columns, stride);
        byte[] bits = new byte[(length + 7) / 8];
        using var kernels = new HostKernels();
        kernels.WriteRankedMask(draw, delta, bits);
        var recipe = RecipeOf(("density", 0.5), ("epsilon", 0.3), ("rescale", 0));
        var options = new MergeOptions { Threads = 2, ChunkElements = 4096, Seed = 11 };
        float[] merged = InMemoryMerge.Run(recipe, Models(shape, delta), options)[Name].Floats();
        Assert.That(merged, Is.EqualTo(delta.Select((d, i) => (bits[i / 8] >> (i % 8) & 1) != 0 ? d : 0)));
    }

    // The pass that draws finds the norms itself where rows and blocks end together (4096, 64 columns), else another one does.
    [TestCase(4096)]
    [TestCase(64)]
    [TestCase(257)]
    public void The_norm_is_restored(long columns)
    {
        float[] delta = [.. Enumerable.Range(0, (int)(columns * 64)).Select(i => (i * 37 % 1001) - 500f)];
        var options = new MergeOptions { Threads = 2, ChunkElements = 4096 };
        float[] merged = InMemoryMerge.Run(RecipeOf(("density", 0.4)), Models([64, columns], delta), options)[Name].Floats();
        Assert.That(merged.Sum(v => (double)Math.Abs(v)), Is.EqualTo(delta.Sum(v => (double)Math.Abs(v))).Within(1e-5).Percent);
        Assert.That(merged.Count(v => v != 0) / (double)merged.Length, Is.EqualTo(0.4).Within(0.02));
    }

    [Test]
    public void A_density_of_one_keeps_all_and_none_keeps_nothing()
    {
        Assert.That(InMemoryMerge.Run(RecipeOf(("density", 1)), Models([2], [1, -2]))[Name].Floats(), Is.EqualTo(new[] { 1f, -2f }));
        Assert.That(InMemoryMerge.Run(RecipeOf(("density", 0)), Models([2], [1, -2]))[Name].Floats(), Is.EqualTo(new[] { 0f, 0f }));
    }

    [TestCase(0.9, 0.1)]
    [TestCase(0.1, 0.1)]
    [TestCase(0.5, 0.6)]
    [TestCase(0.5, -0.5)]
    [TestCase(0.5, double.NaN)]
    public void Probabilities_that_reach_0_or_1_are_refused_with_model_and_tensor(double density, double epsilon)
    {
        var recipe = RecipeOf(("density", density), ("epsilon", epsilon));
        var error = Assert.Throws<MergeException>(() => InMemoryMerge.Run(recipe, Models([2], [1, 2])))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Recipe));
        Assert.That(error.Message, Does.Contain("'epsilon'").And.Contain("m0").And.Contain(Name).And.Not.Contain("\n"));
    }

    [Test]
    public void Torch_s_generator_is_refused()
    {
        var recipe = RecipeOf(("density", 0.5)) with { Rng = RandomGenerator.Torch };
        var error = Assert.Throws<MergeException>(() => InMemoryMerge.Run(recipe, Models([2], [1, 2])))!;
        Assert.That(error.Message, Does.Contain("rng: torch"));
    }

    [Test]
    public void Probabilities_are_mergekits_where_no_magnitudes_tie()
    {
        int rows = 0;
        foreach (var (delta, columns, density, epsilon, expected) in RecordedProbabilities())
        {
            var draw = new RankedDraw(default, density, epsilon, columns);
            for (int start = 0; start < delta.Length; start += columns)
            {
                uint[] magnitudes = [.. delta.Skip(start).Take(columns).Select(v => BitConverter.SingleToUInt32Bits(MathF.Abs(v)))];
                if (magnitudes.Distinct().Count() < columns || columns == 1)
                    continue;
                rows++;
                uint[] ascending = [.. magnitudes.Order()];
                for (int i = 0; i < columns; i++)
                {
                    double probability = draw.KeepBelow(Array.IndexOf(ascending, magnitudes[i])) / (double)(1 << 24);
                    Assert.That(probability, Is.EqualTo(expected[start + i]).Within(2e-7));
                }
            }
        }

        Assert.That(rows, Is.GreaterThan(100));
    }

    // The fp32 cases: in other types mergekit rounds ranks and probabilities.
    private static IEnumerable<(float[] Delta, int Columns, double Density, double Epsilon, double[] Expected)> RecordedProbabilities() =>
        from folder in GoldenFolder.TensorCases
        from json in folder.Records("cases")
        where json.GetProperty("method").GetString()!.StartsWith("della", StringComparison.Ordinal)
        let source = TensorCase.Read(folder, json)
        where source.Dtype == WorkingType.F32 && source.Masks.Count > 0
        from drawn in source.Experts.Where(m => source.Parameter(m, "density", 1) is > 0 and < 1).Select((m, i) => (Model: m, Index: i))
        let probabilities = folder.Tensors(folder.Manifest.GetProperty("masks").GetString()!)[$"{json.GetProperty("id").GetString()}.probs{drawn.Index}"]
        let shape = drawn.Model.Tensor.Shape
        select (
            drawn.Model.Tensor.Floats.Zip(source.BaseModel!.Tensor.Floats, (x, b) => x - b).ToArray(),
            (int)shape[^1],
            source.Parameter(drawn.Model, "density", 1),
            source.Parameter(drawn.Model, "epsilon", 0.15),
            probabilities.Values);

    private static Recipe RecipeOf(params (string Name, Setting Value)[] parameters) =>
        parameters.Aggregate(Recipe.For("della_linear").WithBase("base").Add("m0", ("weight", 1)), (r, p) => r.With(p.Name, p.Value));

    private static Dictionary<string, MemoryTensor[]> Models(long[] shape, float[] delta) => new()
    {
        ["base"] = [ToyModels.F32(Name, shape, new float[delta.Length])],
        ["m0"] = [ToyModels.F32(Name, shape, delta)],
    };
}
