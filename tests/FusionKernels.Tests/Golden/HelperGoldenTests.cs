using System.Globalization;
using System.Text.Json;
using FusionKernels.Kernels;
using FusionKernels.Recipes;

namespace FusionKernels.Tests.Golden;

/// <summary>mergekit's helper functions: settings, sparsifiers and sign masks.</summary>
internal sealed class HelperGoldenTests : GoldenFixture
{
    // A sparsifier is what these methods do to a single delta over a base of zeros.
    private static readonly Dictionary<string, string> s_sparsifiers = new()
    {
        ["magnitude"] = "ties",
        ["magnitude_outliers"] = "breadcrumbs",
        ["random"] = "dare_linear",
        ["della_magprune"] = "della_linear",
    };

    private static IEnumerable<TestCaseData> Settings => Helpers("evaluate_setting");

    private static IEnumerable<TestCaseData> Sparsifiers => Helpers("sparsify");

    private static IEnumerable<TestCaseData> SignMasks => Helpers("get_mask");

    private static IEnumerable<TestCaseData> Draws => Helpers("torch_bernoulli");

    private static IEnumerable<TestCaseData> Others => GoldenFolder.TensorCases
        .SelectMany(f => f.Records("helpers")).Select(h => h.GetProperty("fn").GetString()!).Distinct()
        .Except(["evaluate_setting", "sparsify", "get_mask", "torch_bernoulli"])
        .SelectMany(function => Helpers(function, (_, _, _) => [function]));

    [TestCaseSource(nameof(Settings))]
    public void Setting_evaluates(GoldenFolder folder, string id, JsonElement helper)
    {
        string setting = helper.GetProperty("setting").GetRawText();
        var result = helper.GetProperty("result");
        string? expected = result.ValueKind == JsonValueKind.Null ? null : result.ToString();
        string? Fact(string name) => name switch
        {
            "helper" => "evaluate_setting",
            "setting" => setting,
            "result" => expected ?? "null",
            _ => null,
        };
        string? againstMergekit = Disagreement(expected, Evaluated(helper, setting));
        if (Difference.Of(Fact) is not { } difference)
        {
            Assert.That(againstMergekit, Is.Null, againstMergekit ?? "");
            return;
        }

        string? againstCorrection = difference.Expect[0] switch
        {
            "list of one" => Disagreement(Evaluated(helper, $"[{setting}]"), Evaluated(helper, setting)),
            "refused" => Disagreement("error:any", Evaluated(helper, setting)),
            var other => throw Difference.Unknown(other),
        };
        difference.Decide($"{folder.Name}/{id}", againstMergekit, againstCorrection);
    }

    [TestCaseSource(nameof(Sparsifiers))]
    public void Sparsifier_keeps_the_same_elements(GoldenFolder folder, string id, JsonElement helper)
    {
        string method = s_sparsifiers[helper.GetProperty("method").GetString()!];
        string? norm = helper.GetProperty("rescale_norm").GetString();
        RequireMethod(method);
        if (norm is not (null or "l1"))
            Assert.Ignore($"no recipe restores the {norm} norm");
        if (method is "dare_linear" or "della_linear")
            Assert.Ignore("no random numbers of torch");
        string[] names = helper.GetProperty("delta").GetString()!.Split('-');
        var parameters = new Dictionary<string, double>
        {
            ["weight"] = 1,
            ["density"] = helper.GetProperty("density").GetDouble(),
        };
        if (helper.TryGetProperty("gamma", out var gamma))
            parameters["gamma"] = gamma.GetDouble();
        var expected = Expected(folder, helper);
        var source = OverZeros(folder, helper, id, method, norm is null ? 0 : 1, [(names[0], names[1], parameters)]);
        double[] merged = ProductMerge.Run(source).Values;

        // mergekit's sort is not stable: which of equal magnitudes are kept is free, their number is not.
        double bound = Agreement.Bound(expected.Values, source.Dtype!);
        int[] wrong = Agreement.Disagreements(expected.Values, merged, bound);
        double[] theirs = [.. wrong.Select(i => Math.Abs(expected.Values[i])).Order()];
        double[] ours = [.. wrong.Select(i => Math.Abs(merged[i])).Order()];
        bool areTies = wrong.All(i => expected.Values[i] == 0 || merged[i] == 0)
            && Agreement.Disagreements(theirs, ours, bound).Length == 0;
        if (!areTies)
            Assert.Fail(Agreement.Describe(expected.Values, merged, wrong, bound, "kept"));
    }

    [TestCaseSource(nameof(SignMasks))]
    public void Signs_are_elected_alike(GoldenFolder folder, string id, JsonElement helper)
    {
        string rule = helper.GetProperty("method").GetString()!;
        if (rule != "sum")
            Assert.Ignore($"no recipe elects signs by {rule}");
        string set = helper.GetProperty("deltas").GetString()!;
        var parameters = new Dictionary<string, double> { ["weight"] = 1 };
        var deltas = Enumerable.Range(0, 3).Select(i => ($"{set}.m{i}", $"{set}.base", parameters)).ToArray();
        var source = OverZeros(folder, helper, id, "ties", 0, deltas);
        double[] merged = ProductMerge.Run(source).Values;
        double[] expected = Expected(folder, helper).Values;

        // The merged delta has the elected sign, or is zero where no model has it. NaN hides the sign.
        var models = source.Experts.ToArray();
        for (int i = 0; i < models.Length; i++)
        {
            double[] delta = models[i].Tensor.Values;
            for (int j = 0; j < delta.Length; j++)
            {
                bool agrees = expected[(i * delta.Length) + j] != 0;
                if (!double.IsNaN(merged[j]))
                    Assert.That(delta[j] * merged[j] > 0, Is.EqualTo(agrees), $"model {i}, element {j}");
            }
        }
    }

    [TestCaseSource(nameof(Draws))]
    public void Bernoulli_draws_are_torchs(GoldenFolder folder, string id, JsonElement helper)
    {
        uint seed = helper.GetProperty("seed").GetUInt32();
        int[] expected = [.. helper.GetProperty("result").EnumerateArray().Select(bit => bit.GetInt32())];
        var working = WorkingType.Of(helper.GetProperty("dtype").GetString()!);
        byte[] bits = new byte[(expected.Length + 7) / 8];
        new Mt19937(seed).Bernoulli(working.Round((float)helper.GetProperty("p").GetDouble()), expected.Length, bits);
        int[] drawn = [.. expected.Select((_, i) => (bits[i / 8] >> (i % 8)) & 1)];
        Assert.That(drawn, Is.EqualTo(expected), $"{folder.Name}/{id}");

        if (helper.TryGetProperty("rand16", out var uniform))
        {
            uint[] words = new uint[16];
            new Mt19937(seed).Fill(words);
            Assert.That(
                words.Select(w => (w & 0xFFFFFF) * Math.ScaleB(1, -24)),
                Is.EqualTo(uniform.EnumerateArray().Select(u => u.GetDouble())));
        }
    }

    [TestCaseSource(nameof(Others))]
    public void Other_helper(string function) => Assert.Ignore($"no {function}");

    private static IEnumerable<TestCaseData> Helpers(string function) =>
        Helpers(function, (folder, id, json) => [folder, id, json]);

    private static IEnumerable<TestCaseData> Helpers(
        string function, Func<GoldenFolder, string, JsonElement, object[]> arguments) =>
        from folder in GoldenFolder.TensorCases
        from helper in folder.Records("helpers").Select((json, index) => (Json: json, Id: Id(json, index)))
        where helper.Json.GetProperty("fn").ValueEquals(function)
        select Named(folder.Name, helper.Id, arguments(folder, helper.Id, helper.Json));

    private static string Id(JsonElement helper, int index) => helper.TryGetProperty("output", out var output)
        ? output.GetString()!
        : $"h{index:000}_{helper.GetProperty("fn").GetString()}";

    /// <summary>
    /// The value of a setting as the product's own reader takes it: a number, <c>null</c>, or "error:...".
    /// </summary>
    private static string? Evaluated(JsonElement helper, string setting)
    {
        try
        {
            var recipe = RecipeReader.Parse(
                """{"merge_method": "linear", "models": [{"model": "m"}], "parameters": {"p": """ + setting + "}}");
            string name = helper.GetProperty("tensor_name").GetString()!;
            double? value = recipe.Parameters["p"].Evaluate(name, helper.GetProperty("t").GetDouble());
            return value?.ToString("R", CultureInfo.InvariantCulture);
        }
        catch (Exception e)
        {
            return "error:" + Refusal(e);
        }
    }

    private static string? Disagreement(string? expected, string? actual)
    {
        bool agree = expected?.StartsWith("error:", StringComparison.Ordinal) == true
            ? actual?.StartsWith("error:", StringComparison.Ordinal) == true
            : double.TryParse(expected, CultureInfo.InvariantCulture, out double a)
                && double.TryParse(actual, CultureInfo.InvariantCulture, out double b)
            ? Math.Abs(a - b) <= 1e-12
            : expected == actual;
        return agree ? null : $"{actual ?? "null"} instead of {expected ?? "null"}";
    }

    private static GoldenTensor Expected(GoldenFolder folder, JsonElement helper)
    {
        var file = folder.Tensors(folder.Manifest.GetProperty("helpers_file").GetString()!);
        return file[helper.GetProperty("output").GetString()!];
    }

    /// <summary>A merge of deltas, each subtracted in the working type, into a base of zeros.</summary>
    private static TensorCase OverZeros(
        GoldenFolder folder,
        JsonElement helper,
        string id,
        string method,
        double rescale,
        (string Model, string Base, Dictionary<string, double> Parameters)[] deltas)
    {
        string type = helper.GetProperty("dtype").GetString()!;
        var working = WorkingType.Of(type);
        var inputs = folder.Tensors(folder.Manifest.GetProperty("inputs").GetProperty(type).GetString()!);
        var models = deltas.Select((d, i) =>
        {
            var differences = inputs[d.Model].Floats.Zip(inputs[d.Base].Floats, (x, b) => working.Round(x - b));
            var tensor = GoldenTensor.F32(inputs[d.Model].Shape, differences);
            return new CaseModel($"m{i}", tensor) { Parameters = d.Parameters };
        }).ToArray();
        var first = models[0].Tensor;
        var zeros = new CaseModel("base", GoldenTensor.F32(first.Shape, new float[first.Values.Length]));
        return new TensorCase
        {
            Id = $"{folder.Name}/{id}",
            Method = method,
            Base = "base",
            Models = [.. models, zeros],
            Parameters = new Dictionary<string, double> { ["rescale"] = rescale, ["normalize"] = 0 },
            Dtype = working,
        };
    }
}
