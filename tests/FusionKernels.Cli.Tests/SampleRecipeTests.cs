using FusionKernels.Methods;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>The recipes of <c>samples/recipes</c>, which stand for how each method is used.</summary>
public sealed class SampleRecipeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static string Recipes { get; } = Path.GetFullPath("../recipes", Tool.Digits);

    private static IEnumerable<string> Names => Directory.EnumerateFiles(Recipes, "*.yml")
        .Select(file => Path.GetFileNameWithoutExtension(file)!).Order(StringComparer.Ordinal);

    public void Dispose() => _folder.Dispose();

    [TestCaseSource(nameof(Names))]
    public async Task A_sample_merges_without_a_word_and_its_output_verifies(string name)
    {
        string output = _folder[name];
        var merge = Tool.Run("merge", Recipe(name), output, "--model-root", Tool.Digits, "--json").Succeeds();
        Assert.That(merge.Error, Is.Empty);
        var verification = await Verification.RunAsync(output);
        Assert.That(verification.Problems, Is.Empty);
        Assert.That(verification.Hashed, Is.True);
        using var merged = Checkpoint.Open(output);
        Assert.That(merged.Tensors, Is.Not.Empty);
        Assert.That(merged.Tensors, Has.Count.EqualTo(merge.LastJson.GetProperty("tensors").GetInt32()));
    }

    [Test]
    public void Every_method_has_a_sample_of_its_name_that_sets_all_its_parameters()
    {
        Assert.That(MergeMethods.All.Select(method => method.Name), Is.SubsetOf(Names));
        foreach (var method in MergeMethods.All)
        {
            var recipe = RecipeReader.Load(Recipe(method.Name));
            Assert.That(recipe.MergeMethod, Is.EqualTo(method.Name));
            var set = recipe.Models.SelectMany(model => model.Parameters.Keys).Concat(recipe.Parameters.Keys);
            Assert.That(method.Parameters.Select(p => p.Name), Is.SubsetOf(set), method.Name);
        }
    }

    [TestCaseSource(nameof(Names))]
    public void A_sample_says_what_it_is_for_and_how_it_is_run(string name)
    {
        string[] comments = [.. File.ReadLines(Recipe(name)).TakeWhile(line => line.StartsWith('#'))];
        Assert.That(comments, Has.Length.GreaterThan(1));
        string command = $"#   fusion merge samples/recipes/{name}.yml merged/{name} --model-root samples/digits";
        Assert.That(comments[^1], Does.StartWith(command));
    }

    private static string Recipe(string name) => Path.Combine(Recipes, name + ".yml");
}
