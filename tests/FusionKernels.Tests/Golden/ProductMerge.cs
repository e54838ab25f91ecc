using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>Runs a case through the product's planner and executor in memory.</summary>
internal static class ProductMerge
{
    /// <summary>The merged tensor of a case that is not dropped.</summary>
    public static GoldenTensor Run(TensorCase source, params (string Name, string Word)[] words) =>
        RunOrDrop(source, words) ?? throw new ArgumentException($"{source.Id} was left out of the output");

    /// <summary>
    /// The merged tensor, or <c>null</c> when it is left out of the output. Runs leniently: mergekit ignores parameters
    /// and models that do not fit.
    /// </summary>
    /// <param name="source">The case.</param>
    /// <param name="words">Further parameters of the product, which choose between words.</param>
    public static GoldenTensor? RunOrDrop(TensorCase source, params (string Name, string Word)[] words)
    {
        var parameters = Settings(source.Parameters);
        foreach (var (name, word) in words)
            parameters[name] = Setting.Choice(word);
        var recipe = new Recipe
        {
            MergeMethod = source.Method,
            BaseModel = source.Base,
            Models = [.. source.Models.Select(m => new RecipeModel(m.Name) { Parameters = Settings(m.Parameters) })],
            Parameters = parameters,
            Dtype = source.Dtype?.LongName,
            OutDtype = source.OutDtype?.LongName,
        };
        var models = source.Models.ToDictionary(m => m.Name, m => new[] { Stored(source.TensorName, m.Tensor) });
        if (source.IsDropped)
        {
            // What mergekit drops is optional and missing from further models.
            models.Add("lacking", []);
            recipe = recipe.Add("lacking") with { MissingTensors = MissingTensors.Skip };
        }

        using var masks = new InMemoryMerge.RecordedMasks(source.Masks.Select(m => m.Bytes));
        var options = new MergeOptions { Threads = 1, Lenient = true };
        var output = InMemoryMerge.Run(recipe, models, options, source.Masks.Count > 0 ? masks : null);
        return output.TryGetValue(source.TensorName, out var merged)
            ? new GoldenTensor(merged.Dtype.WireName(), merged.Shape, merged.Bytes)
            : null;
    }

    private static Dictionary<string, Setting> Settings(IReadOnlyDictionary<string, double> numbers) =>
        numbers.ToDictionary(p => p.Key, p => Setting.Number(p.Value));

    private static MemoryTensor Stored(string name, GoldenTensor tensor) =>
        DtypeExtensions.TryParse(tensor.Dtype, out var dtype)
            ? new MemoryTensor(name, dtype, tensor.Shape, tensor.Bytes)
            : throw new ArgumentException($"no dtype '{tensor.Dtype}'");
}
