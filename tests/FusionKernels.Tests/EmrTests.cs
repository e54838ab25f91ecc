using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>EMR's unified model, masks and rescalers.</summary>
public sealed class EmrTests
{
    private static readonly Dictionary<string, MemoryTensor[]> s_models =
        ToyModels.Family(3, ("a.weight", [96, 257]), ("b.bias", [257]), ("c", [4097]), ("empty", [0, 4]));

    private static readonly Recipe s_recipe = Recipe.For("emr").WithBase("base").Add("m0").Add("m1").Add("m2");

    [Test]
    public void A_model_is_restored_from_what_is_stored()
    {
        var unified = InMemoryMerge.Run(s_recipe, s_models);
        float[] rescalers = unified["emr_rescalers"].Floats();
        for (int task = 0; task < 3; task++)
        {
            var restored = InMemoryMerge.Run(s_recipe.With("task", task).WithDtype("float32"), s_models);
            Assert.That(restored.Keys, Is.EquivalentTo(new[] { "a.weight", "b.bias", "c", "empty" }));
            foreach (string name in new[] { "a.weight", "b.bias", "c" })
            {
                float[] origin = Floats(s_models["base"].Single(t => t.Name == name)), all = Floats(unified[name]);
                MemoryTensor masks = unified[name + ".emr_masks"];
                byte[] bits = masks.Bytes[(int)(task * masks.Shape[1])..];
                float[] expected = [.. origin.Select((b, i) =>
                    b + (((bits[i / 8] >> (i % 8)) & 1) * (rescalers[task] * (all[i] - b))))];
                Assert.That(restored[name].Floats(), Is.EqualTo(expected).Within(1e-7), name);
            }
        }
    }

    [Test]
    public void The_unified_model_has_elements_of_the_models_and_the_base()
    {
        var unified = InMemoryMerge.Run(s_recipe, s_models);
        float[][] stored = [.. s_models.Values.Select(m => Floats(m.Single(t => t.Name == "a.weight")))];
        float[] actual = Floats(unified["a.weight"]);
        Assert.That(Enumerable.Range(0, actual.Length).Where(i => stored.All(m => m[i] != actual[i])), Is.Empty);
    }

    [Test]
    public void One_model_is_restored_as_it_was()
    {
        var recipe = Recipe.For("emr").WithBase("base").Add("m1");
        float[] rescalers = InMemoryMerge.Run(recipe, s_models)["emr_rescalers"].Floats();
        Assert.That(rescalers, Is.EqualTo(new[] { 1f }).Within(1e-6));
        var restored = InMemoryMerge.Run(recipe.With("task", 0), s_models);
        Assert.That(restored["a.weight"].Bytes, Is.EqualTo(s_models["m1"].Single(t => t.Name == "a.weight").Bytes));
    }

    [Test]
    public void A_model_that_is_the_base_stays_the_base()
    {
        var models = new Dictionary<string, MemoryTensor[]>(s_models) { ["m0"] = s_models["base"] };
        var restored = InMemoryMerge.Run(s_recipe.With("task", 0), models);
        Assert.That(restored["c"].Bytes, Is.EqualTo(models["base"].Single(t => t.Name == "c").Bytes));
    }

    [TestCase(3)]
    [TestCase(0.5)]
    public void A_task_that_is_no_model_is_refused(double task) => Assert.That(
        () => InMemoryMerge.Run(s_recipe.With("task", task), s_models),
        Throws.TypeOf<MergeException>().With.Message
            .EqualTo("emr: 'task' is one of 0 to 2, or -1, for all tensors alike"));

    [Test]
    public void A_tensor_that_a_model_lacks_is_refused_even_if_it_may_be_skipped()
    {
        var models = new Dictionary<string, MemoryTensor[]>(s_models) { ["m0"] = s_models["m0"][1..] };
        Assert.That(
            () => InMemoryMerge.Run(s_recipe with { MissingTensors = MissingTensors.Skip }, models),
            Throws.TypeOf<MergeException>().With.Message.EqualTo("a.weight: missing from a model; emr needs all"));
    }

    private static float[] Floats(MemoryTensor tensor) => tensor.Dtype == Dtype.F32 ? tensor.Floats()
        : [.. tensor.Bytes.Chunk(2).Select(b => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(b) << 16))];
}
