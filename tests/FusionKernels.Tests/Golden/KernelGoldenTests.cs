using System.Text.Json;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests.Golden;

/// <summary>Cases of kernels and formulas computed in double precision by an independent implementation.</summary>
internal sealed class KernelGoldenTests : GoldenFixture
{
    private static readonly Dictionary<string, Func<KernelCase, Dictionary<string, double[]>>> s_operations = new()
    {
        ["philox"] = Philox4x32,
        ["dare"] = Dare,
        ["ties"] = Ties,
        ["emr"] = Emr,
        ["slerp"] = Slerp,
        ["rsvd"] = Rsvd,
        ["misc/task_arithmetic"] = c => PerTensor(
            c, "task_arithmetic", "task_arithmetic", 3, ("weight", 1), ("lambda", c.Number("task_arithmetic_scale"))),
        ["misc/model_stock"] = c => PerTensor(c, "model_stock", "model_stock", 3),
        ["misc/model_stock2"] = c => PerTensor(c, "model_stock2", "model_stock", 2),
        ["misc/slerp0.3"] = c => c.TensorNames("base").ToDictionary(
            t => $"slerp0.3.{t}",
            t => Doubles(Formulas.Method("slerp", c.Models(t, 2)[0], c.Models(t, 2)[1..], ("t", c.Number("slerp_t"))))),
    };

    // Where mergekit and the implementation behind these cases follow different conventions, the product follows
    // mergekit.
    private static readonly Dictionary<string, Func<KernelCase, string, double[]>> s_conventions = new()
    {
        ["mean cosine"] = MeanCosine,
        ["right angle"] = (c, _) => [.. c.Input("a").Values.Select(v => v * Math.Cos(Math.PI / 4))],
    };

    // A case of many small formulas is one test for each of them.
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Kernels
        from json in folder.Records("cases")
        let name = json.GetProperty("name").GetString()!
        where !name.StartsWith("smile_", StringComparison.Ordinal)
        from part in json.GetProperty("op").ValueEquals("misc") ? Parts(json) : [""]
        select Named(folder.Name, name + part, folder, json, part);

    [TestCaseSource(nameof(Cases))]
    public void Case(GoldenFolder folder, JsonElement json, string part)
    {
        string operation = json.GetProperty("op").GetString()! + part;
        if (!s_operations.TryGetValue(operation, out var compute))
        {
            IgnoreOperation(part.Length > 0 ? part[1..] : operation);
            return;
        }

        var source = new KernelCase(json, folder.Tensors(json.GetProperty("file").GetString()!));
        var computed = compute(source);
        Assert.That(computed, Is.Not.Empty);
        foreach (var (output, values) in computed)
        {
            string check = json.GetProperty("outputs").GetProperty(output).GetString()!;
            double tolerance = check == "exact" ? 0 : json.GetProperty("tol").GetProperty("f32").GetDouble();
            double[] expected = source.Expected(output);
            double bound = Agreement.Bound(expected, tolerance);
            string? disagreement = Agreement.Disagreement(expected, values, bound, output);
            string? Fact(string name) => name == "kernel" ? operation : name == "output" ? output : null;
            if (Difference.Of(Fact) is { } difference)
            {
                double[] corrected = s_conventions[difference.Expect[0]](source, output);
                difference.Decide(
                    $"{folder.Name}/{json.GetProperty("name").GetString()}{part}",
                    disagreement,
                    Agreement.Disagreement(corrected, values, Agreement.Bound(corrected, tolerance), output));
            }
            else
            {
                Assert.That(disagreement, Is.Null, disagreement ?? "");
            }
        }
    }

    // An output's name without the name of the tensor at its end.
    private static IEnumerable<string> Parts(JsonElement json)
    {
        string[] tensors = [.. json.GetProperty("inputs").EnumerateArray().Select(i => i.GetString()!)
            .Where(i => i.StartsWith("base.", StringComparison.Ordinal)).Select(i => i["base".Length..])];
        return json.GetProperty("outputs").EnumerateObject().Select(o => o.Name).Select(output =>
        {
            string tensor = tensors.FirstOrDefault(t => output.EndsWith(t, StringComparison.Ordinal)) ?? "";
            return "/" + output[..^tensor.Length];
        }).Distinct();
    }

    /// <summary>Model stock by the mean of the cosines, in double precision.</summary>
    private static double[] MeanCosine(KernelCase c, string output)
    {
        string tensor = output["model_stock.".Length..];
        double[] origin = c.Input($"base.{tensor}").Values;
        double[][] models = [.. Enumerable.Range(0, 3).Select(i => c.Input($"t{i}.{tensor}").Values)];
        double[][] deltas = [.. models.Select(m => m.Zip(origin, (x, b) => x - b).ToArray())];
        double cosine = (Cosine(0, 1) + Cosine(0, 2) + Cosine(1, 2)) / 3;
        double t = 3 * cosine / (1 + (2 * cosine));
        return [.. origin.Select((b, j) => (t * models.Average(m => m[j])) + ((1 - t) * b))];

        double Cosine(int i, int j) => Dot(i, j) / Math.Sqrt(Dot(i, i) * Dot(j, j));

        double Dot(int i, int j) => deltas[i].Zip(deltas[j], (x, y) => x * y).Sum();
    }

    private static Dictionary<string, double[]> Philox4x32(KernelCase c)
    {
        var computed = new Dictionary<string, double[]>();
        for (int i = 0; i < 3; i++)
        {
            double[] counter = c.Input($"ctr{i}").Values, key = c.Input($"key{i}").Values;
            var random = new Philox(Join(key[0], key[1]), Join(counter[2], counter[3]));
            var (w0, w1, w2, w3) = random.Block(Join(counter[0], counter[1]));
            computed[$"words{i}"] = [w0, w1, w2, w3];
        }

        using var formulas = new Formulas();
        var stream = new Philox(c.Integer("seed"), c.Integer("stream"));
        uint[] words = formulas.Words(stream, (int)c.Integer("n"));
        computed["words_seq"] = [.. words.Select(w => (double)w)];
        computed["uniform24"] = [.. words.Select(w => (w >> 8) / (double)(1 << 24))];
        computed["normal"] = Doubles(formulas.Normals(stream, words.Length));
        return computed;

        static ulong Join(double low, double high) => (ulong)low | ((ulong)high << 32);
    }

    private static Dictionary<string, double[]> Dare(KernelCase c)
    {
        var computed = new Dictionary<string, double[]>();
        using var formulas = new Formulas();
        float[] x = c.Input("x").Floats;
        foreach (var p in c.Parameter("p").EnumerateArray())
        {
            bool[] kept = formulas.Kept(new Philox(c.Integer("seed"), c.Integer("stream")), p.GetDouble(), x.Length);
            computed[$"keep_p{p}"] = Doubles(kept);
            computed[$"out_p{p}"] = Doubles(formulas.Dropped(x, kept, 1 - p.GetDouble()));
        }

        return computed;
    }

    // A model alone elects its own signs, so what it keeps is what remains of it. The elected signs themselves show in
    // sum and max.
    private static Dictionary<string, double[]> Ties(KernelCase c)
    {
        var computed = new Dictionary<string, double[]>();
        var rows = c.Rows("tv");
        foreach (var k in c.Parameter("K").EnumerateArray())
        {
            double density = k.GetDouble() > 1 ? k.GetDouble() / 100 : k.GetDouble();
            foreach (var function in c.Parameter("funcs").EnumerateArray())
                computed[$"{function}_K{k}"] = Doubles(Formulas.Ties(rows, density, function.GetString()!));
            computed[$"kept_K{k}"] =
                [.. rows.SelectMany(r => Formulas.Ties([r], density, "sum")).Select(v => v != 0 ? 1.0 : 0.0)];
        }

        return computed;
    }

    private static Dictionary<string, double[]> Emr(KernelCase c)
    {
        int tasks = (int)c.Integer("num_tasks");
        string[] tensors = c.TensorNames("base");
        var models = new Dictionary<string, MemoryTensor[]> { ["base"] = Model("base") };
        for (int i = 0; i < tasks; i++)
            models[$"t{i}"] = Model($"t{i}");
        var emr = new EmrRun(models);
        var computed = new Dictionary<string, double[]> { ["rescale"] = emr.Rescalers };
        foreach (string t in tensors)
        {
            computed[$"unified.{t}"] = emr.Unified(t);
            computed[$"mask.{t}"] = [.. Enumerable.Range(0, tasks).SelectMany(i => emr.Mask(t, i))];
            for (int i = 0; i < tasks; i++)
                computed[$"theta{i}.{t}"] = emr.Restored(t, i);
        }

        return computed;

        MemoryTensor[] Model(string name) =>
            [.. tensors.Select(t => ToyModels.F32(t, c.Input($"{name}.{t}").Shape, c.Input($"{name}.{t}").Floats))];
    }

    private static Dictionary<string, double[]> Slerp(KernelCase c)
    {
        float[] a = c.Input("a").Floats, b = c.Input("b").Floats;
        float[] zero = c.Input("zero").Floats, minus = [.. a.Select(v => -v)];
        return new()
        {
            ["t0.25"] = Doubles(Formulas.Method("slerp", a, [b], ("t", 0.25))),
            ["t0.5"] = Doubles(Formulas.Method("slerp", a, [b], ("t", 0.5))),
            ["zero_t0.5"] = Doubles(Formulas.Method("slerp", a, [zero], ("t", 0.5))),
            ["anti_t0.25"] = Doubles(Formulas.Method("slerp", a, [minus], ("t", 0.25))),
        };
    }

    // The sketch is the same to the last bit: its normals are elements of a stream. Vectors need no alignment: both
    // sides make the largest element of a right vector positive.
    private static Dictionary<string, double[]> Rsvd(KernelCase c)
    {
        using var memory = new PinnedTensors();
        Matrix a = memory.Matrix(c.Input("a"));
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, 2);
        int rank = (int)c.Integer("k");
        using RandomizedSvd svd = RandomizedSvd.Factor(team, a, rank, new SketchOptions
        {
            Oversampling = (int)c.Integer("oversample"),
            PowerIterations = (int)c.Integer("power_iters"),
            Random = new Philox(c.Integer("omega_seed"), c.Integer("omega_stream")),
        });
        Assert.That(svd.IsExact, Is.False);
        double[] u = Columns(svd.Left), v = Columns(svd.Right), product = new double[a.Rows * a.Columns];
        for (int i = 0; i < product.Length; i++)
        {
            int row = i / a.Columns, column = i % a.Columns;
            product[i] = svd.Values.Select((s, j) => u[(row * rank) + j] * s * v[(column * rank) + j]).Sum();
        }

        var computed = new Dictionary<string, double[]>
        {
            ["u"] = u, ["s"] = svd.Values, ["v"] = v, ["a_k"] = product,
        };

        // Of a matrix of that very rank the error is nothing but fp64's rounding in the case, and fp32's here.
        const double Rounding = 1e-6;
        double squares = c.Input("a").Values.Zip(product, (x, y) => (x - y) * (x - y)).Sum();
        double error = Math.Sqrt(squares / svd.Energy);
        if (c.Expected("rel_err_fro")[0] > Rounding)
            computed["rel_err_fro"] = [error];
        else
            Assert.That(error, Is.LessThan(Rounding));
        return computed;

        static double[] Columns(DenseMatrix<float> vectors) => [.. Enumerable.Range(0, vectors.Columns)
            .SelectMany(row => Enumerable.Range(0, vectors.Rows).Select(j => (double)vectors[j, row]))];
    }

    private static Dictionary<string, double[]> PerTensor(
        KernelCase c, string output, string method, int tasks, params (string Name, double Value)[] parameters) =>
        c.TensorNames("base").ToDictionary(t => $"{output}.{t}", t => Doubles(
            Formulas.Method(method, c.Input($"base.{t}").Floats, c.Models(t, tasks), parameters)));

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, v => (double)v);

    private static double[] Doubles(bool[] values) => Array.ConvertAll(values, v => v ? 1.0 : 0.0);
}
