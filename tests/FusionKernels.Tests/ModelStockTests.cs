using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>Where model_stock's formula has no answer.</summary>
public class ModelStockTests
{
    [Test]
    public void Changes_that_cancel_out_are_refused_with_the_tensors_name([Values] bool byRow)
    {
        var models = new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = [Tensor(1, 1)], ["up"] = [Tensor(3, 4)], ["down"] = [Tensor(-1, -2)],
        };
        var recipe = Recipe.For("model_stock").WithBase("base").Add("up").Add("down").With("filter_wise", byRow ? 1 : 0);
        var error = Assert.Throws<MergeException>(() => InMemoryMerge.Run(recipe, models))!;
        Assert.That(error.Message, Does.StartWith("w: ").And.Contain("cancel out"));
    }

    private static MemoryTensor Tensor(params float[] values) => ToyModels.F32("w", [1, values.Length], values);
}
