using FusionKernels.Recipes;
using FusionKernels.Tests.Golden;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>What arcee_fusion takes, against scalar code, over rows of every kind.</summary>
public class ArceeFusionTests
{
    private const string Name = "model.layers.0.mlp.up_proj.weight";

    // Many rows in a block, rows across chunks, a row of several blocks, a tensor of one axis, a column, an element.
    private static readonly long[][] s_shapes = [[300, 7], [60, 257], [2, 40_000], [33_000], [5000, 1], [1], []];

    [TestCaseSource(nameof(s_shapes))]
    public void A_merge_is_that_of_scalar_code(long[] shape)
    {
        foreach (float deviation in new[] { 1, 1e-3f })
        {
            var (origin, model) = Values(shape, deviation);
            float[] expected = ArceeFusionFormula.Read(Case(shape, origin, model), WorkingType.F32).Values;
            float[] merged = Merge(shape, origin, model);
            int wrong = Enumerable.Range(0, merged.Length).Count(i => MathF.Abs(merged[i] - expected[i]) > 1e-7f);

            // An importance within rounding of the threshold may fall on either side of it.
            Assert.That(wrong, Is.LessThanOrEqualTo(merged.Length / 5000), $"{deviation}");
            int taken = merged.Zip(origin).Count(v => v.First != v.Second);
            if (shape is [.., > 1])
                Assert.That(taken, Is.InRange(merged.Length / 1000, merged.Length / 4));
        }
    }

    [Test]
    public void Rows_of_one_element_never_diverge_so_all_changes_reach_the_threshold_of_zero()
    {
        var (origin, model) = Values([5000, 1], 1);
        Assert.That(Merge([5000, 1], origin, model), Is.EqualTo(model).Within(1e-6f));
    }

    [Test]
    public void A_model_equal_to_the_base_gives_the_base()
    {
        var (origin, _) = Values([60, 257], 1);
        Assert.That(Merge([60, 257], origin, origin), Is.EqualTo(origin));
    }

    [Test]
    public void A_row_with_NaN_keeps_the_base_and_only_its_own_NaN()
    {
        var (origin, model) = Values([60, 100], 1);
        model[205] = float.NaN;
        float[] merged = Merge([60, 100], origin, model);
        Assert.That(merged[205], Is.NaN);
        Assert.That(merged[200..205].Concat(merged[206..300]), Is.EqualTo(origin[200..205].Concat(origin[206..300])));
    }

    [Test]
    public void The_output_has_the_inputs_dtype()
    {
        var models = ToyModels.Family(1, (Name, [4, 4]));
        Assert.That(InMemoryMerge.Run(OfModel, models)[Name].Dtype, Is.EqualTo(Safetensors.Dtype.BF16));
    }

    private static Recipe OfModel => Recipe.For("arcee_fusion").WithBase("base").Add("m0");

    private static (float[] Base, float[] Model) Values(long[] shape, float deviation)
    {
        var random = new Random(shape.Length + (int)shape.Sum());
        int length = (int)shape.Aggregate(1L, (a, b) => a * b);
        float[] origin = [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)];
        return (origin, [.. origin.Select(v => v + (deviation * MathF.Pow(random.NextSingle() - 0.5f, 3)))]);
    }

    private static TensorCase Case(long[] shape, float[] origin, float[] model) => new()
    {
        Id = "arcee_fusion",
        Method = "arcee_fusion",
        Base = "base",
        Models =
        [
            new("base", GoldenTensor.F32(shape.Length > 0 ? shape : [1], origin)),
            new("m0", GoldenTensor.F32(shape, model)),
        ],
        Parameters = new Dictionary<string, double>(),
    };

    private static float[] Merge(long[] shape, float[] origin, float[] model) => InMemoryMerge.Run(
        OfModel,
        new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = [ToyModels.F32(Name, shape, origin)],
            ["m0"] = [ToyModels.F32(Name, shape, model)],
        },
        new MergeOptions { Threads = 2, ChunkElements = 4096 })[Name].Floats();
}
