using System.Text.Json;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Smile;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// SMILE from the models to the forward pass: every case is upscaled by the product as a checkpoint, and what it writes
/// is compared, then opened and run.
/// </summary>
internal sealed class SmileGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Layers => Cases("smile_linear");

    private static IEnumerable<TestCaseData> Untrained => Cases("smile_linear_untrained");

    private static IEnumerable<TestCaseData> Models => Cases("smile_upscale_model_hf");

    private static IEnumerable<TestCaseData> Formulas =>
        from folder in GoldenFolder.Formulas
        from entry in folder.Manifest.EnumerateObject()
        where entry.Name.StartsWith("smile_", StringComparison.Ordinal)
        select Named(folder.Name, entry.Name, entry.Value);

    [TestCaseSource(nameof(Layers))]
    public void A_layer_has_the_factors_and_computes_the_outputs(GoldenFolder folder, JsonElement json)
    {
        var source = new KernelCase(json, folder.Tensors(json.GetProperty("file").GetString()!));
        int experts = (int)source.Integer("num_experts");
        bool bias = source.Parameter("bias").GetBoolean(), dense = source.Number("k") <= 0;
        var models = new Dictionary<string, MemoryTensor[]> { ["base"] = Tensors("w0", "b0") };
        for (int i = 0; i < experts; i++)
            models[$"e{i}"] = Tensors($"w.{i}", $"b.{i}");
        using var run = new SmileRun(
            models,
            null,
            ("gate_k", source.Number("gate_k")),
            ("k", source.Number("k")),
            ("top_k", source.Number("top_k")),
            ("routing_use_diff", source.Parameter("routing_use_diff").GetBoolean() ? 1 : 0));

        var computed = Forward(run, source.Input("x").Floats);
        computed["gate"] = run["layer.gate.weights"].Values;
        for (int i = 0; i < experts; i++)
        {
            if (!dense)
            {
                double[] u = run[$"layer.experts.{i}.u"].Values, svh = run[$"layer.experts.{i}.svh"].Values;
                computed[$"u.{i}"] = u;
                computed[$"svh.{i}"] = svh;
                computed[$"delta_k.{i}"] = Product(u, svh, (int)source.Number("k"));
            }

            if (bias)
                computed[$"db.{i}"] = run[$"layer.experts.{i}.bias"].Values;
        }

        double tolerance = json.GetProperty("tol").GetProperty("f32").GetDouble();
        foreach (string output in json.GetProperty("outputs").EnumerateObject().Select(o => o.Name))
            Agreement.Assert(source.Expected(output), computed[output], tolerance, output);

        MemoryTensor[] Tensors(string weight, string own) =>
        [
            SmileRun.Stored("layer.weight", source.Input(weight)),
            .. bias ? [SmileRun.Stored("layer.bias", source.Input(own))] : Array.Empty<MemoryTensor>(),
        ];
    }

    [TestCaseSource(nameof(Untrained))]
    public void A_layer_that_no_expert_changed_stays_plain(GoldenFolder folder, JsonElement json)
    {
        var source = new KernelCase(json, folder.Tensors(json.GetProperty("file").GetString()!));
        var models = new Dictionary<string, MemoryTensor[]>
        {
            ["base"] = Tensors("w0", 0), ["e0"] = Tensors("w.0", 1), ["e1"] = Tensors("w.1", 2),
        };
        using var run = new SmileRun(models, null, ("gate_k", 1), ("k", 1));
        bool plain = run.Names.Contains("layer.weight");
        Assert.That(plain ? 1.0 : 0.0, Is.EqualTo(source.Expected("untrained")[0]));
        Assert.That(run["layer.weight"].Values, Is.EqualTo(source.Input("w0").Values));
        using var smile = run.Open();
        Assert.That(smile.Layers.Select(l => (l.Name, l.Experts)), Is.EqualTo(new[] { ("layer", 0), ("trained", 2) }));

        MemoryTensor[] Tensors(string weight, float value) =>
        [
            SmileRun.Stored("layer.weight", source.Input(weight)),
            ToyModels.F32("trained.weight", [2, 2], [value, 0, 0, 0]),
        ];
    }

    [TestCaseSource(nameof(Models))]
    public void A_model_has_the_tensors_of_the_language_models_class(GoldenFolder folder, JsonElement json)
    {
        JsonElement parameters = json.GetProperty("params");
        string[] files = [.. json.GetProperty("inputs").EnumerateArray().Select(i => i.GetString()!)];
        var models = files.ToDictionary(
            f => f.Contains("base", StringComparison.Ordinal) ? "base" : f,
            f => folder.Tensors(f) is var file ? file.Names.Select(n => SmileRun.Stored(n, file[n])).ToArray() : []);
        using var run = new SmileRun(
            models, """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 16}""",
            ("gate_k", parameters.GetProperty("rank_of_router").GetDouble()),
            ("k", parameters.GetProperty("rank_of_expert").GetDouble()));

        GoldenFile expected = folder.Tensors(json.GetProperty("file").GetString()!);
        Assert.That(run.Names, Is.EquivalentTo(expected.Names));
        double tolerance = json.GetProperty("tol").GetProperty("f32").GetDouble();
        foreach (string name in expected.Names)
        {
            Assert.That(run[name].Shape, Is.EqualTo(expected[name].Shape), name);
            bool isFactor = expected[name].Dtype == "F64";
            Agreement.Assert(expected[name].Values, run[name].Values, isFactor ? tolerance : 0, name);
        }

        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(run.Path, "config.json")));
        JsonElement root = config.RootElement;
        foreach (string key in new[] { "rank_of_router", "rank_of_expert", "num_experts_per_tok", "num_local_experts" })
            Assert.That(root.GetProperty(key).GetInt32(), Is.EqualTo(parameters.GetProperty(key).GetInt32()));
        Assert.That(root.GetProperty("architectures")[0].GetString(), Is.EqualTo("SmileLlamaForCausalLM"));
        Assert.That(root.GetProperty("model_type").GetString(), Is.EqualTo("smile_llama"));
        using var smile = run.Open();
        Assert.That(smile.Layers.Count(l => l.Experts == 2), Is.EqualTo(13));
    }

    [TestCaseSource(nameof(Formulas))]
    public void Formula(JsonElement golden)
    {
        double[][] w0 = Matrix(golden.GetProperty("W0"));
        double[][][] deltas = [.. golden.GetProperty("dW").EnumerateArray().Select(Matrix)];
        var models = new Dictionary<string, MemoryTensor[]> { ["base"] = [Weight(w0)] };
        for (int i = 0; i < deltas.Length; i++)
            models[$"e{i}"] = [Weight([.. w0.Zip(deltas[i], (b, d) => b.Zip(d, (x, y) => x + y).ToArray())])];
        using var run = new SmileRun(models, null, ("gate_k", 1), ("k", 2));
        var computed = Forward(run, [.. Values("x").Select(v => (float)v)]);
        Agreement.Assert(Values("logits"), computed["router_logits"], 1e-6, "logits");
        Agreement.Assert(Values("prob"), computed["router_probs"], 1e-6, "prob");
        Agreement.Assert(Values("y"), computed["y"], 1e-6, "y");

        double[] Values(string name) => [.. golden.GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];

        static double[][] Matrix(JsonElement rows) =>
            [.. rows.EnumerateArray().Select(r => r.EnumerateArray().Select(v => v.GetDouble()).ToArray())];

        static MemoryTensor Weight(double[][] rows) => ToyModels.F32(
            "layer.weight", [rows.Length, rows[0].Length], [.. rows.SelectMany(r => r.Select(v => (float)v))]);
    }

    private static IEnumerable<TestCaseData> Cases(string operation) =>
        from folder in GoldenFolder.Kernels
        from json in folder.Records("cases")
        where json.GetProperty("op").ValueEquals(operation)
        select Named(folder.Name, json.GetProperty("name").GetString()!, folder, json);

    /// <summary>The pass of the model's only layer, and what its router decided.</summary>
    private static unsafe Dictionary<string, double[]> Forward(SmileRun run, float[] x)
    {
        using var smile = run.Open();
        GatedLinear layer = smile.Layers.Single().Layer;
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 2);
        var forward = new GatedForward(team);
        int tokens = x.Length / layer.Inputs;
        float[] y = new float[tokens * layer.Outputs];
        fixed (float* input = x, output = y)
        {
            forward.Run(
                layer,
                new Matrix(new Operand(ElementType.F32, input), tokens, layer.Inputs),
                new Matrix(new Operand(ElementType.F32, output), tokens, layer.Outputs));
        }

        float[] opened = new float[y.Length];
        smile.Layers.Single().Forward(x, tokens, opened);
        Assert.That(opened, Is.EqualTo(y));
        return new()
        {
            ["y"] = Doubles(y),
            ["router_logits"] = Doubles(forward.Routing.Scores.ToArray()),
            ["router_probs"] = Doubles(forward.Routing.Probabilities.ToArray()),
            ["topk_idx"] = Array.ConvertAll(forward.Routing.Chosen.ToArray(), e => (double)e),
            ["topk_weight"] = Doubles(forward.Routing.Weights.ToArray()),
        };

        static double[] Doubles(float[] values) => Array.ConvertAll(values, v => (double)v);
    }

    private static double[] Product(double[] u, double[] svh, int rank)
    {
        int rows = u.Length / rank, columns = svh.Length / rank;
        return [.. Enumerable.Range(0, rows * columns).Select(at => Enumerable.Range(0, rank)
            .Sum(j => u[(at / columns * rank) + j] * svh[(j * columns) + (at % columns)]))];
    }
}
