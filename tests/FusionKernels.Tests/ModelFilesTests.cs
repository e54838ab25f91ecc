using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
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
            if (donor == "large")
                Assert.That(config["text_config"]!["vocab_size"]!.GetValue<int>(), Is.EqualTo(2));
        }

        var larger = await ConfigOf(Linear("large").WithBase("tied"));
        Assert.That(larger["vocab_size"]!.GetValue<int>(), Is.EqualTo(3));
    }

    [TestCase("bfloat16", "single", "float32")]
    [TestCase("bfloat16", "half", "float32")]
    [TestCase("bfloat16", "brain", "bfloat16")]
    [TestCase("float32", "brain", "float32")]
    public async Task The_dtype_is_the_one_written(string donors, string other, string written)
    {
        // What a donor says of its own dtype stands as long as the output has the same.
        using var folder = Dtypes();
        folder.Write("brain2", "config.json", $$"""{"text_config": {"torch_dtype": "x"}, "dtype": "{{donors}}"}""");
        var (config, warnings) = await Merged(folder, Linear("brain2", other));
        Assert.That(config["dtype"]!.ToString(), Is.EqualTo(written));
        Assert.That(config.AsObject().ContainsKey("torch_dtype"), Is.False);
        Assert.That(config["text_config"]!["torch_dtype"]!.ToString(), Is.EqualTo(other == "brain" ? "x" : written));
        Assert.That(warnings, Is.Empty);
    }

    [Test]
    public async Task A_stack_of_several_dtypes_is_warned_of_and_the_config_says_the_most_frequent()
    {
        using var folder = Dtypes();
        folder.Write("brain", "config.json", """{"torch_dtype": "bfloat16"}""");
        var stack = Stack(("brain", 0, 1), ("single", 0, 2));
        var (config, warnings) = await Merged(folder, stack);
        Assert.That(config["torch_dtype"]!.ToString(), Is.EqualTo("float32"));
        Assert.That(warnings, Is.EqualTo(
            new[] { "the output is partly BF16, partly F32, as the models are; 'dtype' gives all tensors one" }));
        Assert.That((await Merged(folder, stack.WithDtype("bfloat16"))).Warnings, Is.Empty);
    }

    [Test]
    public async Task Lists_with_an_entry_a_layer_are_those_of_the_layers_written()
    {
        using var folder = Stacks();
        folder.Write("a", "config.json", """
            {
                "num_hidden_layers": 3, "layer_types": ["x", "y", "z"], "no_rope_layers": [1, null, 0],
                "architectures": ["A", "B", "C"], "eos_token_id": [7, 8, 9], "sizes": [1, 2]
            }
            """);
        folder.Write("b", "config.json", """
            {
                "text_config": {
                    "num_hidden_layers": 2, "layer_types": ["u", "v"], "no_rope_layers": [5, 6]
                }
            }
            """);
        var (config, warnings) = await Merged(folder, Stack(("a", 0, 3), ("b", 1, 2), ("a", 1, 2)));
        Assert.That(config["num_hidden_layers"]!.GetValue<int>(), Is.EqualTo(5));
        string[] lists = ["layer_types", "no_rope_layers", "architectures", "eos_token_id", "sizes"];
        Assert.That(lists.Select(name => config[name]!.ToJsonString()), Is.EqualTo(new[]
        {
            """["x","y","z","v","y"]""", "[1,null,0,6,null]", """["A","B","C"]""", "[7,8,9]", "[1,2]",
        }));
        Assert.That(warnings, Is.Empty);

        // The other way round the donor's layers are those of its text model.
        (config, _) = await Merged(folder, Stack(("b", 0, 2), ("a", 2, 3)));
        Assert.That(
            config["text_config"]!.ToJsonString(),
            Is.EqualTo("""{"num_hidden_layers":3,"layer_types":["u","v","z"],"no_rope_layers":[5,6,0]}"""));
    }

    [Test]
    public async Task What_the_slices_leave_open_in_the_config_is_warned_of()
    {
        using var folder = Stacks();
        const string Layers = "\"num_hidden_layers\": 3, \"mlp_only_layers\": [0, 1, 2]";
        folder.Write("a", "config.json", $$"""{{{Layers}}, "layer_types": ["x", "y", "z"]}""");
        folder.Write("b", "config.json", """{"num_hidden_layers": 2}""");
        var (config, warnings) = await Merged(folder, Stack(("a", 0, 3), ("b", 1, 2)));
        Assert.That(config["layer_types"]!.AsArray(), Has.Count.EqualTo(3));
        Assert.That(warnings, Is.EqualTo(new[]
        {
            "config.json: 'layer_types' is still that of a, not of the 4 layers written: b has no such list",
            "config.json: 'mlp_only_layers' gives numbers of layers, and still those of a",
        }));
        Assert.That((await Merged(folder, Stack(("a", 0, 3)))).Warnings, Is.Empty);

        folder.Write("b", "config.json", """{"num_hidden_layers": 2, "layer_types": ["x", "v"]}""");
        var average = Recipe.For("linear").AddSlice(
            new RecipeModel("a") { Layers = (0, 2) }, new RecipeModel("b") { Layers = (0, 2) }).With("weight", 1);
        Assert.That((await Merged(folder, average)).Warnings, Has.Some.EqualTo(
            "config.json: 'layer_types' of layer 1 is \"y\" and \"v\" in what it is merged from; the first stands"));
    }

    [Test]
    public async Task A_quantization_that_the_output_has_not_is_left_out_of_the_config()
    {
        const string Config = """{"quantization_config": {"quant_method": "fp8"}, "text_config": {"vocab_size": 2}}""";
        MemoryTensor[] Eight(params byte[] values) =>
            [new("w", Dtype.F8E4M3, [1, 2], values), ToyModels.F32("w_scale", [1], [2])];
        using var folder = new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["eight"] = Eight(0x38, 0x40),
            ["eight2"] = Eight(0x40, 0x38),
            ["plain"] = [ToyModels.F32("w", [1, 2], [1, 2]), ToyModels.F32("w_scale", [1], [2])],
        });
        foreach (string model in new[] { "eight", "eight2", "plain" })
            folder.Write(model, "config.json", Config);
        const string Scales =
            "eight: is quantized; 1 tensor(s) (w, ...) are merged as they are stored, without their scales";
        const string LeftOut =
            "config.json: 'quantization_config' is left out, because no tensor written is quantized";
        var copy = Recipe.For("passthrough").Add("eight");
        foreach (var (recipe, kept, warnings) in new (Recipe, bool, string[])[]
        {
            (copy, true, []),
            (copy.WithDtype("bfloat16"), false, [LeftOut, Scales]),
            (Linear("eight", "eight2"), true, [Scales]),
            (Linear("plain"), false, [LeftOut]),
        })
        {
            var (config, found) = await Merged(folder, recipe);
            Assert.That(config.AsObject().ContainsKey("quantization_config"), Is.EqualTo(kept));
            Assert.That(found.Where(w => !w.Contains("'dtype' gives", StringComparison.Ordinal)), Is.EqualTo(warnings));
        }
    }

    private static TemporaryModels Stacks()
    {
        MemoryTensor[] Of(int layers) =>
            [.. Enumerable.Range(0, layers).Select(i => ToyModels.F32($"model.layers.{i}.w", [1], [i]))];
        return new TemporaryModels(new Dictionary<string, MemoryTensor[]> { ["a"] = Of(3), ["b"] = Of(2) });
    }

    private static TemporaryModels Dtypes()
    {
        string[] names = ["model.layers.0.w", "model.layers.1.w"];
        MemoryTensor[] Of(Func<string, MemoryTensor> make) => [.. names.Select(make)];
        var brain = Of(name => ToyModels.BF16(name, [2], [1, 2]));
        return new TemporaryModels(new Dictionary<string, MemoryTensor[]>
        {
            ["brain"] = brain,
            ["brain2"] = brain,
            ["single"] = Of(name => ToyModels.F32(name, [2], [1, 2])),
            ["half"] = Of(name => new MemoryTensor(name, Dtype.F16, [2], [0, 0x3C, 0, 0x40])),
        });
    }

    private static Recipe Stack(params (string Model, int First, int End)[] slices) => slices.Aggregate(
        Recipe.For("passthrough"),
        (recipe, slice) => recipe.AddSlice(new RecipeModel(slice.Model) { Layers = (slice.First, slice.End) }));

    private static async Task<(JsonNode Config, IReadOnlyList<string> Warnings)> Merged(
        TemporaryModels folder, Recipe recipe)
    {
        var options = new MergeOptions { Threads = 1, ModelRoot = folder.Root, Restart = true };
        var report = await Merge.RunAsync(recipe, folder["out"], options);
        string config = await File.ReadAllTextAsync(Path.Combine(folder["out"], "config.json"));
        return (JsonNode.Parse(config)!, report.Warnings);
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
        folder.Write("large", "config.json", """{"vocab_size": 3, "text_config": {"vocab_size": 3}}""");
        return (await Merged(folder, recipe)).Config;
    }
}
