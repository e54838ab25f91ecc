using System.Globalization;
using System.Text.Json;
using FusionKernels.Adapters;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// Adapters that mergekit-extract-lora made. Signs of singular vectors are free and both factors are rounded to bf16,
/// so it is B A that is compared; the tensors that are stored whole have the same bits.
/// </summary>
internal sealed class ExtractLoraGoldenTests : GoldenFixture
{
    // Each factor is rounded to 8 bits, and theirs are of a delta that was rounded, too.
    private const double Tolerance = 4.0 / 256;

    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Recipes
        from json in folder.Records("cases")
        where IsExtraction(json)
        select Named(folder.Name, json.GetProperty("name").GetString()!, folder, json);

    /// <summary>Whether a case is one of mergekit-extract-lora.</summary>
    public static bool IsExtraction(JsonElement json) =>
        json.TryGetProperty("cli", out var tool) && tool.ValueEquals("extract_lora");

    [TestCaseSource(nameof(Cases))]
    public async Task Extraction(GoldenFolder folder, JsonElement json)
    {
        string[] args = [.. json.GetProperty("args").EnumerateArray().Select(a => a.GetString()!)];
        string expected = Path.Combine(folder.Location, "cases", json.GetProperty("name").GetString()!, "out");
        string output = Directory.CreateTempSubdirectory("golden-").FullName;
        try
        {
            await LoraExtraction.RunAsync(Value("--base-model")!, Value("--model")!, output, new ExtractionOptions
            {
                Root = folder.Location,
                Rank = int.Parse(Value("--max-rank")!, CultureInfo.InvariantCulture),
                Epsilon = double.Parse(Value("--sv-epsilon") ?? "0", CultureInfo.InvariantCulture),
                Include = Value("-i") is { } pattern ? [pattern] : [],
                DistributeScale = !args.Contains("--no-distribute-scale"),
                EmbedLora = args.Contains("--embed-lora"),
                SkipUndecomposable = args.Contains("--skip-undecomposable"),
            });
            CompareConfig(Config(expected), Config(output));
            CompareTensors(RecipeGoldenTests.Tensors(expected), RecipeGoldenTests.Tensors(output));
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }

        string? Value(string option) => Array.IndexOf(args, option) is >= 0 and var at ? args[at + 1] : null;
    }

    private static JsonElement Config(string folder) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "adapter_config.json"))).RootElement;

    // mergekit also lists modules of rank 0, which PEFT cannot make; here they are left out.
    private static void CompareConfig(JsonElement theirs, JsonElement ours)
    {
        string[] words = ["peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "fan_in_fan_out"];
        foreach (string key in words)
            Assert.That(ours.GetProperty(key).ToString(), Is.EqualTo(theirs.GetProperty(key).ToString()), key);
        foreach (string key in new[] { "rank_pattern", "alpha_pattern" })
            Assert.That(Ranks(ours, key), Is.EquivalentTo(Ranks(theirs, key).Where(r => r.Value > 0)), key);
        Assert.That(Names(ours, "modules_to_save"), Is.EquivalentTo(Names(theirs, "modules_to_save")));
        if (!Ranks(theirs, "rank_pattern").ContainsValue(0))
            Assert.That(Names(ours, "target_modules"), Is.EquivalentTo(Names(theirs, "target_modules")));

        static Dictionary<string, int> Ranks(JsonElement config, string key) =>
            config.GetProperty(key).EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt32());

        static IEnumerable<string?> Names(JsonElement config, string key) =>
            config.GetProperty(key).EnumerateArray().Select(n => n.GetString());
    }

    private static void CompareTensors(
        Dictionary<string, GoldenTensor> theirs, Dictionary<string, GoldenTensor> ours)
    {
        Assert.That(ours.Keys, Is.EquivalentTo(theirs.Where(t => t.Value.Bytes.Length > 0).Select(t => t.Key)));
        foreach (var (name, tensor) in ours)
        {
            Assert.That((tensor.Dtype, tensor.Shape), Is.EqualTo((theirs[name].Dtype, theirs[name].Shape)), name);
            if (!name.Contains("lora_", StringComparison.Ordinal))
                Assert.That(tensor.Bytes, Is.EqualTo(theirs[name].Bytes), name);
        }

        foreach (string a in ours.Keys.Where(n => n.Contains("lora_A", StringComparison.Ordinal)))
        {
            string b = a.Replace("lora_A", "lora_B", StringComparison.Ordinal);
            double[] expected = Product(theirs[b], theirs[a]), actual = Product(ours[b], ours[a]);
            double within = Tolerance * expected.Max(Math.Abs);
            Assert.That(actual, Is.EqualTo(expected).Within(within), a);
        }
    }

    private static double[] Product(GoldenTensor b, GoldenTensor a)
    {
        int rows = (int)b.Shape[0], rank = (int)b.Shape[1], columns = (int)a.Shape[1];
        double[] left = b.Values, right = a.Values, product = new double[rows * columns];
        for (int i = 0; i < product.Length; i++)
        {
            for (int k = 0; k < rank; k++)
                product[i] += left[((i / columns) * rank) + k] * right[(k * columns) + (i % columns)];
        }

        return product;
    }
}
