using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Recipes;

namespace FusionKernels.Tests.Golden;

/// <summary>Mixtures that mergekit-moe put together: the same files, but for the gates, which torch drew.</summary>
internal sealed class MoeGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Recipes
        from json in folder.Records("cases")
        where IsMixture(json)
        select Named(folder.Name, json.GetProperty("name").GetString()!, folder, json);

    /// <summary>Whether a case is one of mergekit-moe.</summary>
    public static bool IsMixture(JsonElement json) =>
        json.TryGetProperty("cli", out var tool) && tool.ValueEquals("moe");

    [TestCaseSource(nameof(Cases))]
    public async Task Mixture(GoldenFolder folder, JsonElement json)
    {
        string location = Path.Combine(folder.Location, "cases", json.GetProperty("name").GetString()!);
        string expected = Path.Combine(location, "out"), output = Directory.CreateTempSubdirectory("golden-").FullName;
        try
        {
            var recipe = MoeRecipeReader.Load(Path.Combine(location, "config.yml"));
            await Merge.RunAsync(recipe, output, new MergeOptions { ModelRoot = folder.Location, Seed = 1 });
            var theirs = RecipeGoldenTests.Tensors(expected);
            var ours = RecipeGoldenTests.Tensors(output);
            Assert.That(ours.Keys, Is.EquivalentTo(theirs.Keys));
            foreach (var (name, tensor) in theirs)
            {
                Assert.That((ours[name].Dtype, ours[name].Shape), Is.EqualTo((tensor.Dtype, tensor.Shape)), name);
                if (!name.EndsWith("mlp.gate.weight", StringComparison.Ordinal))
                    Assert.That(ours[name].Bytes, Is.EqualTo(tensor.Bytes), name);
            }

            Assert.That(Config(output), Is.EqualTo(Config(expected)));
            Assert.That(File.Exists(Path.Combine(output, "mergekit_moe_config.yml")));
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }
    }

    // Key by key; the dtype has two names, and the version is the environment's.
    private static Dictionary<string, string> Config(string folder) =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")))!.AsObject()
            .Where(p => p.Key != "transformers_version")
            .ToDictionary(p => p.Key == "torch_dtype" ? "dtype" : p.Key, p => p.Value?.ToJsonString() ?? "null");
}
