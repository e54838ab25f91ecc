using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>What a merge changes in the donor's config.json: only what the tensors written contradict.</summary>
public class ModelFilesTests
{
    private const string Tied = """{"tie_word_embeddings": true, "vocab_size": 2, "other": "kept"}""";

    [TestCase("tied", "tied2", true)]
    [TestCase("tied", "untied", false)]
    [TestCase("untied", "tied", false)]
    [TestCase("tied", "twice", true)]
    [TestCase("twice", "tied", true)]
    [TestCase("twice", "untied", false)]
    public async Task A_head_that_is_not_the_embedding_unties_the_config(string first, string second, bool tied)
    {
        // The donor is the first model. A checkpoint may store its tied head once more.
        var config = await ConfigOf(Linear(first, second));
        Assert.That(config["tie_word_embeddings"]!.GetValue<bool>(), Is.EqualTo(tied));
        Assert.That(config["other"]!.ToString(), Is.EqualTo("kept"));
    }

    [Test]
    public async Task A_donor_that_is_not_merged_counts_as_well()
    {
        var config = await ConfigOf(Linear("untied", "untied2").WithBase("tied"));
        Assert.That(config["tie_word_embeddings"]!.GetValue<bool>(), Is.False);
    }

    [Test]
    public async Task The_vocabulary_is_the_rows_written_whichever_model_is_the_donor()
    {
        foreach (string donor in new[] { "tied", "large" })
        {
            var config = await ConfigOf(Linear("tied", "large").WithBase(donor));
            Assert.That(config["vocab_size"]!.GetValue<int>(), Is.EqualTo(2), donor);
        }

        var larger = await ConfigOf(Linear("large").WithBase("tied"));
        Assert.That(larger["vocab_size"]!.GetValue<int>(), Is.EqualTo(3));
    }

    private static Recipe Linear(params string[] models) =>
        models.Aggregate(Recipe.For("linear"), (recipe, model) => recipe.Add(model)).With("weight", 1);

    private static async Task<JsonNode> ConfigOf(Recipe recipe)
    {
        var embedding = ToyModels.F32("model.embed_tokens.weight", [2, 1], [1, 2]);
        var head = ToyModels.F32("lm_head.weight", [2, 1], [3, 4]);
        using var folder = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["tied"] = [embedding],
            ["tied2"] = [embedding],
            ["twice"] = [embedding, embedding with { Name = head.Name }],
            ["untied"] = [embedding, head],
            ["untied2"] = [embedding, head],
            ["large"] = [ToyModels.F32("model.embed_tokens.weight", [3, 1], [5, 6, 7])],
        });
        foreach (string model in new[] { "tied", "tied2", "twice", "untied", "untied2" })
            folder.Write(model, "config.json", Tied);
        folder.Write("large", "config.json", """{"vocab_size": 3}""");
        await Merge.RunAsync(recipe, folder["out"], new MergeOptions { Threads = 1, ModelRoot = folder.Root });
        return JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(folder["out"], "config.json")))!;
    }
}
