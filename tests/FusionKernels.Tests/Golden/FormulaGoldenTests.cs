using System.Globalization;
using System.Text.Json;
using FusionKernels.Kernels;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>Formulas of papers on eight elements, small enough to check by hand.</summary>
internal sealed class FormulaGoldenTests : GoldenFixture
{
    // The base of the eight-element cases; their file holds what is computed from it.
    private static readonly float[] s_origin = [1.0f, -1.0f, 0.5f, 0.0f, 2.0f, -0.3f, 0.7f, 0.1f];

    private static readonly Dictionary<string, Action<JsonElement, float[][]>> s_formulas = new()
    {
        ["ties_K0.5"] = Ties,
        ["dare_p0.5"] = Dare,
        ["emr"] = Emr,
        ["philox4x32_10"] = Philox4x32,
    };

    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Formulas
        from entry in folder.Manifest.EnumerateObject()
        where !entry.Name.StartsWith("smile_", StringComparison.Ordinal)
        select Named(folder.Name, entry.Name, folder, entry.Name);

    [TestCaseSource(nameof(Cases))]
    public void Formula(GoldenFolder folder, string name)
    {
        if (!s_formulas.TryGetValue(name, out var check))
        {
            IgnoreOperation(name.Split('_')[0]);
            return;
        }

        check(folder.Manifest.GetProperty(name), Rows(folder.Manifest.GetProperty("ties_K0.5").GetProperty("tau")));
    }

    private static void Ties(JsonElement golden, float[][] taus)
    {
        foreach (string function in new[] { "sum", "mean", "max" })
            Close(golden.GetProperty(function), Formulas.Ties(taus, 0.5, function), function);
        Close(golden.GetProperty("trimmed"), [.. taus.SelectMany(t => Formulas.Ties([t], 0.5, "sum"))], "trimmed");
    }

    private static void Dare(JsonElement golden, float[][] taus)
    {
        using var formulas = new Formulas();
        float[][] kept = Rows(golden.GetProperty("keep_mask"));
        float[][] dropped = [.. taus.Zip(kept, (t, k) => formulas.Dropped(t, [.. k.Select(v => v != 0)], 0.5))];
        Close(golden.GetProperty("rescaled"), [.. dropped.SelectMany(d => d)], "rescaled");
        Close(golden.GetProperty("merged_lambda1"), formulas.Sum(s_origin, dropped), "merged");
    }

    private static void Emr(JsonElement golden, float[][] taus)
    {
        // On a base of zeros, where values that cancel do so exactly.
        var models = new Dictionary<string, MemoryTensor[]> { ["base"] = Model(new float[s_origin.Length]) };
        for (int i = 0; i < taus.Length; i++)
            models[$"t{i}"] = Model(taus[i]);
        var emr = new EmrRun(models);
        Agreement.Assert(Flat(golden.GetProperty("unified")), emr.Unified("x"), 1e-6, "unified");
        double[] masks = [.. Enumerable.Range(0, taus.Length).SelectMany(i => emr.Mask("x", i))];
        Agreement.Assert(Flat(golden.GetProperty("masks")), masks, 0, "masks");
        Agreement.Assert(Flat(golden.GetProperty("rescalers")), emr.Rescalers, 1e-6, "rescalers");
        double[] restored = [.. emr.Restored("x", 0).Zip(s_origin, (t, b) => t + b)];
        Agreement.Assert(Flat(golden.GetProperty("task0")), restored, 1e-6, "task0");

        static MemoryTensor[] Model(float[] values) => [ToyModels.F32("x", [values.Length], values)];
    }

    private static void Philox4x32(JsonElement golden, float[][] taus)
    {
        foreach (var vector in golden.EnumerateArray())
        {
            ulong[] counter = Words(vector, "ctr"), key = Words(vector, "key"), expected = Words(vector, "out");
            var random = new Philox(key[0] | (key[1] << 32), counter[2] | (counter[3] << 32));
            var (w0, w1, w2, w3) = random.Block(counter[0] | (counter[1] << 32));
            Assert.That(new ulong[] { w0, w1, w2, w3 }, Is.EqualTo(expected));
        }
    }

    private static ulong[] Words(JsonElement vector, string name) => [.. vector.GetProperty(name).EnumerateArray()
        .Select(w => ulong.Parse(w.GetString()!, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];

    private static float[][] Rows(JsonElement matrix) =>
        [.. matrix.EnumerateArray().Select(r => r.EnumerateArray().Select(v => v.GetSingle()).ToArray())];

    private static void Close(JsonElement expected, float[] actual, string what) =>
        Agreement.Assert(Flat(expected), Array.ConvertAll(actual, v => (double)v), 1e-6, what);

    private static double[] Flat(JsonElement element) => element.ValueKind == JsonValueKind.Array
        ? [.. element.EnumerateArray().SelectMany(Flat)]
        : [element.GetDouble()];
}
