using FusionKernels.Recipes;
using FusionKernels.Tests.Golden;

namespace FusionKernels.Tests;

/// <summary>The recipes of <c>samples/recipes</c>, over the digits zoo.</summary>
public class SampleTests
{
    private static readonly string Samples = Path.GetFullPath("../../samples", GoldenFolder.Shipped);

    private static IEnumerable<string> Recipes =>
        Directory.EnumerateFiles(Path.Combine(Samples, "recipes"), "*.yml").Select(f => Path.GetFileName(f)!);

    [TestCaseSource(nameof(Recipes))]
    public async Task Sample_merges(string name)
    {
        string output = Directory.CreateTempSubdirectory("sample-").FullName;
        try
        {
            var recipe = RecipeReader.Load(Path.Combine(Samples, "recipes", name));
            var options = new MergeOptions { Threads = 1, ModelRoot = Path.Combine(Samples, "digits") };
            var report = await Merge.RunAsync(recipe, output, options);
            Assert.That(report.Warnings, Is.Empty);
            Assert.That(report.Tensors, Is.EqualTo(6));
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }
    }
}
