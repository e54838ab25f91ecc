using System.Text.Json;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>mergekit's tensor cases, each run through the product's planner and executor in memory.</summary>
internal sealed class TensorGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Tensors
        from json in folder.Records("cases")
        select Named(folder.Name, json.GetProperty("id").GetString()!, folder, json);

    [TestCaseSource(nameof(Cases))]
    public void Case(GoldenFolder folder, JsonElement json)
    {
        var source = new TensorCase(folder, json);
        RequireMethod(source.Method);
        if (source.IsDropped)
            Assert.Ignore("whether a tensor is optional is no fact of a case");
        GoldenTensor? merged = null;
        string? refusal = null;
        try
        {
            merged = Merged(source);
        }
        catch (Exception e)
        {
            refusal = Refusal(e);
        }

        string? againstMergekit = TensorVerdict.AgainstMergekit(source, merged, refusal);
        if (Difference.Of(source.Fact) is { } difference)
            difference.Decide(source.ToString(), againstMergekit, TensorVerdict.AgainstCorrection(source, difference, merged, refusal));
        else
            Assert.That(againstMergekit, Is.Null, againstMergekit ?? "");
    }

    /// <summary>Runs the product, leniently: mergekit ignores parameters and models that do not fit.</summary>
    private static GoldenTensor Merged(TensorCase source)
    {
        var recipe = new Recipe
        {
            MergeMethod = source.Method,
            BaseModel = source.Base,
            Models = [.. source.Models.Select(m => new RecipeModel(m.Name) { Parameters = Settings(m.Parameters) })],
            Parameters = Settings(source.Parameters),
            Dtype = source.Dtype?.LongName,
            OutDtype = source.OutDtype?.LongName,
        };
        var models = source.Models.ToDictionary(m => m.Name, m => new[] { Stored(source.TensorName, m.Tensor) });
        using var masks = new InMemoryMerge.RecordedMasks(source.Masks.Select(m => m.Bytes));
        var options = new MergeOptions { Threads = 1, Lenient = true };
        var merged = InMemoryMerge.Run(recipe, models, options, source.Masks.Count > 0 ? masks : null)[source.TensorName];
        return new GoldenTensor(merged.Dtype.WireName(), merged.Shape, merged.Bytes);
    }

    private static Dictionary<string, Setting> Settings(IReadOnlyDictionary<string, double> numbers) =>
        numbers.ToDictionary(p => p.Key, p => Setting.Number(p.Value));

    private static MemoryTensor Stored(string name, GoldenTensor tensor)
    {
        Assert.That(DtypeExtensions.TryParse(tensor.Dtype, out var dtype), Is.True);
        return new MemoryTensor(name, dtype, tensor.Shape, tensor.Bytes);
    }
}
