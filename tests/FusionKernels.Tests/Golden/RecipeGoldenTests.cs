using System.Text.Json;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// mergekit's whole recipes: the product reads the same file and models, and writes a folder to compare with
/// mergekit's.
/// </summary>
internal sealed class RecipeGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Recipes
        from json in folder.Records("cases")
        where !MoeGoldenTests.IsMixture(json) && !ExtractLoraGoldenTests.IsExtraction(json)
        select Named(folder.Name, json.GetProperty("name").GetString()!, folder, json);

    [TestCaseSource(nameof(Cases))]
    public async Task Recipe(GoldenFolder folder, JsonElement json)
    {
        string[] tool = json.TryGetProperty("cli", out var cli) ? [cli.GetString()!, .. Arguments(json)] : [];
        if (tool is [not "merge_raw_pytorch", ..])
            Assert.Ignore($"no tool {tool[0]}");
        var options = json.TryGetProperty("options", out var given) ? given : default;
        string name = json.GetProperty("name").GetString()!;
        string? error = TensorCase.ErrorOf(json);
        string output = Directory.CreateTempSubdirectory("golden-").FullName;
        try
        {
            string file = Path.Combine(folder.Location, "cases", name, "config.yml");
            var merge = new RecipeRun(file, Options(folder, options)) { MissingTensors = Policy(tool) };
            string? refusal = await Refused(merge, output, mayLackMethod: error is null);
            string? againstMergekit = (error, refusal) switch
            {
                (not null, null) => $"merged what mergekit refuses ({error})",
                (not null, _) => null,
                (null, not null) => $"refused: {refusal}",
                _ => Compare(merge, Path.Combine(folder.Location, "cases", name, "out"), output),
            };
            if (Difference.Of(Fact) is { } difference)
            {
                Assert.That(difference.Expect, Is.EqualTo(new[] { "accepted" }), "all that a recipe can be expected");
                difference.Decide($"{folder.Name}/{name}", againstMergekit, refusal);
            }
            else
            {
                Assert.That(againstMergekit, Is.Null, againstMergekit ?? "");
            }

            string? Fact(string fact) => fact switch
            {
                "recipe" => name,
                "error" => error,
                "method" => error is null ? merge.Load().MergeMethod : null,
                _ => null,
            };
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }
    }

    /// <summary>Runs the recipe; the product's refusal, or <c>null</c>.</summary>
    private static async Task<string?> Refused(RecipeRun merge, string output, bool mayLackMethod)
    {
        try
        {
            var recipe = merge.Load();
            if (mayLackMethod)
                RequireMethod(recipe.MergeMethod);
            await Merge.RunAsync(recipe, output, merge.Options);
            return null;
        }
        catch (Exception e) when (e is not ResultStateException)
        {
            return Refusal(e);
        }
    }

    private static MergeOptions Options(GoldenFolder folder, JsonElement options) => new()
    {
        Threads = 1,
        Lenient = true,
        ModelRoot = folder.Location,
        Seed = Find(options, "random_seed") is { } seed ? seed.GetUInt64() : 0,
        MaxShardBytes = Find(options, "out_shard_size") is { } size
            ? size.GetInt64()
            : new MergeOptions().MaxShardBytes,
    };

    private static JsonElement? Find(JsonElement options, string key) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty(key, out var value) ? value : null;

    private static IEnumerable<string> Arguments(JsonElement json) =>
        json.GetProperty("args").EnumerateArray().Select(a => a.GetString()!);

    /// <summary>The flags of mergekit-pytorch as the recipe's key.</summary>
    private static MissingTensors Policy(string[] tool) =>
        tool.Contains("-i") ? MissingTensors.Drop : tool.Contains("-u") ? MissingTensors.Skip : MissingTensors.Refuse;

    /// <summary>
    /// The first thing in which two output folders differ, or <c>null</c>. Where mergekit wrote pytorch_model.bin, the
    /// product writes the same tensors as safetensors.
    /// </summary>
    private static string? Compare(RecipeRun merge, string expected, string output)
    {
        string? missing = Directory.EnumerateFiles(expected).Select(f => Path.GetFileName(f)!)
            .Where(f => f != "README.md" && !f.StartsWith("mergekit", StringComparison.Ordinal) && !IsPickle(f))
            .FirstOrDefault(f => !File.Exists(Path.Combine(output, f)));
        if (missing is not null)
            return $"no file {missing}";
        Dictionary<string, GoldenTensor> theirs = Tensors(expected), ours = Tensors(output);
        if (theirs.Keys.Except(ours.Keys).Concat(ours.Keys.Except(theirs.Keys)).FirstOrDefault() is { } odd)
            return $"the tensor {odd} is only in {(ours.ContainsKey(odd) ? "the product's" : "mergekit's")} output";
        foreach (var source in merge.Tensors(theirs))
        {
            var merged = ours[source.Id];
            string? wrong = Difference.Of(source.Fact) is { } difference
                ? TensorVerdict.AgainstCorrection(source, difference, merged, null)
                : TensorVerdict.AgainstMergekit(source, merged, null);
            if (wrong is not null)
                return $"{source.Id}: {wrong}";
        }

        return File.Exists(Path.Combine(expected, "config.json")) ? CompareConfig(expected, output, ours) : null;
    }

    /// <summary>
    /// The keys of config.json that a merge edits. The vocabulary's size must be that of the embedding written.
    /// </summary>
    private static string? CompareConfig(string expected, string output, Dictionary<string, GoldenTensor> tensors)
    {
        JsonElement theirs = Config(expected), ours = Config(output);
        long rows = tensors["model.embed_tokens.weight"].Shape[0];
        if (Number(ours, "vocab_size") != rows)
            return $"config.json: vocab_size {Number(ours, "vocab_size")} with {rows} rows";
        if (Number(theirs, "num_hidden_layers") != Number(ours, "num_hidden_layers"))
            return $"config.json: num_hidden_layers {Number(ours, "num_hidden_layers")}";
        return Dtype(theirs) == Dtype(ours) ? null : $"config.json: dtype {Dtype(ours)} instead of {Dtype(theirs)}";

        static JsonElement Config(string folder) =>
            JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json"))).RootElement;

        static long Number(JsonElement config, string key) => config.GetProperty(key).GetInt64();

        static string? Dtype(JsonElement config) => new[] { "dtype", "torch_dtype" }
            .Select(key => config.TryGetProperty(key, out var dtype) ? dtype.GetString() : null)
            .FirstOrDefault(d => d is not null);
    }

    /// <summary>The tensors of a folder of files.</summary>
    public static Dictionary<string, GoldenTensor> Tensors(string folder) =>
        Directory.EnumerateFiles(folder, "*.safetensors").Select(GoldenFile.Read)
            .SelectMany(f => f.Names.Select(n => (Name: n, Tensor: f[n])))
            .Concat(Directory.EnumerateFiles(folder).Where(IsPickle).SelectMany(Unpickled))
            .ToDictionary(t => t.Name, t => t.Tensor);

    private static bool IsPickle(string file) => file.EndsWith(".bin", StringComparison.Ordinal);

    private static IEnumerable<(string Name, GoldenTensor Tensor)> Unpickled(string file)
    {
        using var pickled = PickleFile.Open(file);
        foreach (var tensor in pickled.Tensors)
        {
            byte[] bytes = new byte[tensor.ByteLength];
            pickled.Read(tensor, 0, bytes);
            yield return (tensor.Name, new GoldenTensor(tensor.Dtype.WireName(), tensor.Shape, bytes));
        }
    }
}
