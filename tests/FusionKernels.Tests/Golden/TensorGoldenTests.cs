using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>mergekit's tensor cases, each run through the product's planner and executor in memory.</summary>
internal sealed class TensorGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.TensorCases
        from json in folder.Records("cases")
        select Named(folder.Name, json.GetProperty("id").GetString()!, folder, json);

    [TestCaseSource(nameof(Cases))]
    public void Case(GoldenFolder folder, JsonElement json)
    {
        var source = TensorCase.Read(folder, json);
        RequireMethod(source.Method);
        GoldenTensor? merged = null;
        string? refusal = null;
        try
        {
            merged = ProductMerge.RunOrDrop(source);
        }
        catch (Exception e)
        {
            refusal = Refusal(e);
        }

        string? againstMergekit = TensorVerdict.AgainstMergekit(source, merged, refusal);
        if (Difference.Of(source.Fact) is { } difference)
        {
            string? againstCorrection = TensorVerdict.AgainstCorrection(source, difference, merged, refusal);
            difference.Decide(source.Id, againstMergekit, againstCorrection);
        }
        else
        {
            Assert.That(againstMergekit, Is.Null, againstMergekit ?? "");
        }
    }
}
