using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>The vectors that nuslerp rotates, and the angles at which it goes straight.</summary>
public class NuSlerpTests
{
    private const string Name = "model.layers.0.mlp.up_proj.weight";
    private const int Rows = 150, Columns = 130;

    [Test]
    public void Columns_are_the_rows_of_the_transposed_tensor([Values] bool onBase)
    {
        float[][] values = [Normals(1), Normals(2), Normals(3)];
        float[] columns = Merge([Rows, Columns], values, onBase, flatten: false, byColumn: true);
        float[] rows = Merge([Columns, Rows], [.. values.Select(Transposed)], onBase, flatten: false, byColumn: false);
        Assert.That(Transposed(columns), Is.EqualTo(rows).Within(1e-6f));
        float[] flat = Merge([Rows, Columns], values, onBase, flatten: true, byColumn: true);
        Assert.That(columns, Is.Not.EqualTo(flat).Within(1e-4f));
    }

    [Test]
    public void Axes_after_the_first_make_one_row_of_columns()
    {
        float[][] values = [Normals(1), Normals(2), Normals(3)];
        float[] folded = Merge([Rows, 10, Columns / 10], values, onBase: true, flatten: false, byColumn: true);
        Assert.That(folded, Is.EqualTo(Merge([Rows, Columns], values, onBase: true, flatten: false, byColumn: true)));
    }

    [Test]
    public void Two_orthogonal_vectors_are_mixed_on_the_circle()
    {
        float half = MathF.Sqrt(0.5f);
        float[] merged = Merge([2], [[9, 9], [1, 0], [0, 1]], onBase: false, flatten: true, byColumn: false, 0.5, 0.5);
        Assert.That(merged, Is.EqualTo(new[] { half, half }).Within(1e-6f));
    }

    // 1, -1 exactly; and opposite up to a rounding of fp32.
    [TestCase(-1f)]
    [TestCase(-0.3f)]
    public void Opposite_vectors_are_mixed_on_the_straight_line(float factor)
    {
        float[] v = Normals(5), opposite = [.. v.Select(x => factor * x)];
        float[] expected = [.. v.Zip(opposite, (x, y) => (0.75f * x) + (0.25f * y))];
        float[] merged = Merge([Rows, Columns], [v, v, opposite], onBase: false, flatten: true, byColumn: false, 3, 1);
        Assert.That(merged, Is.EqualTo(expected).Within(1e-6f));
    }

    [Test]
    public void One_model_is_copied_and_one_model_on_a_base_is_refused()
    {
        float[] v = Normals(5);
        MemoryTensor[] model = [Tensor([Rows, Columns], v)];
        var models = new Dictionary<string, MemoryTensor[]> { ["m0"] = model, ["base"] = model };
        var alone = Recipe.For("nuslerp").Add("m0", ("weight", 1));
        Assert.That(InMemoryMerge.Run(alone, models)[Name].Floats(), Is.EqualTo(v));
        var error = Assert.Throws<MergeException>(() => InMemoryMerge.Run(alone.WithBase("base"), models))!;
        Assert.That(error.Message, Does.Contain("nuslerp").And.Contain("exactly 2"));
    }

    private static float[] Merge(
        long[] shape,
        float[][] values,
        bool onBase,
        bool flatten,
        bool byColumn,
        double first = 0.6,
        double second = 0.4)
    {
        string[] names = ["base", "m0", "m1"];
        var models = names.Zip(values).ToDictionary(m => m.First, m => new[] { Tensor(shape, m.Second) });
        var recipe = Recipe.For("nuslerp").Add("m0", ("weight", first)).Add("m1", ("weight", second))
            .With("nuslerp_flatten", flatten ? 1 : 0).With("nuslerp_row_wise", byColumn ? 1 : 0);
        var options = new MergeOptions { Threads = 2, ChunkElements = 4096 };
        return InMemoryMerge.Run(onBase ? recipe.WithBase("base") : recipe, models, options)[Name].Floats();
    }

    private static MemoryTensor Tensor(long[] shape, float[] values) => ToyModels.F32(Name, shape, values);

    private static float[] Normals(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Rows * Columns).Select(_ => (float)(random.NextDouble() - 0.5))];
    }

    private static float[] Transposed(float[] values) =>
        [.. Enumerable.Range(0, values.Length).Select(i => values[(i % Rows * Columns) + (i / Rows)])];
}
