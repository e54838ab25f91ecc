using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// What the product makes of <c>base</c> and models by EMR: the unified model with its masks, and the restored ones.
/// </summary>
internal sealed class EmrRun
{
    private readonly Dictionary<string, MemoryTensor[]> _models;
    private readonly Dictionary<string, MemoryTensor> _unified;
    private readonly Dictionary<string, MemoryTensor>[] _restored;

    public EmrRun(Dictionary<string, MemoryTensor[]> models)
    {
        _models = models;
        string[] tasks = [.. models.Keys.Where(m => m != "base")];
        var recipe = tasks.Aggregate(Recipe.For("emr").WithBase("base"), (r, m) => r.Add(m));
        _unified = InMemoryMerge.Run(recipe, models);
        _restored = [.. tasks.Select((_, i) => InMemoryMerge.Run(recipe.With("task", i), models))];
    }

    /// <summary>The rescalers.</summary>
    public double[] Rescalers => Doubles(_unified["emr_rescalers"]);

    /// <summary>The unified task vector of a tensor.</summary>
    public double[] Unified(string tensor) =>
        [.. Doubles(_unified[tensor]).Zip(Doubles(_models["base"].Single(t => t.Name == tensor)), (u, b) => u - b)];

    /// <summary>A model's mask of a tensor, as ones and zeros.</summary>
    public double[] Mask(string tensor, int task)
    {
        MemoryTensor masks = _unified[tensor + ".emr_masks"];
        int row = (int)masks.Shape[1], length = _unified[tensor].Floats().Length;
        Assert.That(masks.Shape, Is.EqualTo(new long[] { _restored.Length, (length + 7) / 8 }));
        byte[] bits = masks.Bytes[(task * row)..((task + 1) * row)];
        return [.. Enumerable.Range(0, length).Select(i => (double)((bits[i / 8] >> (i % 8)) & 1))];
    }

    /// <summary>A restored model's tensor.</summary>
    public double[] Restored(string tensor, int task) => Doubles(_restored[task][tensor]);

    private static double[] Doubles(MemoryTensor tensor) => Array.ConvertAll(tensor.Floats(), v => (double)v);
}
