using System.Diagnostics;
using System.Runtime.InteropServices;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Whole merges against <see cref="PlainLoop"/>, which reads the same models and writes as much: from recipe to finished folder, in
/// process, default options on two threads.
/// </summary>
internal static class EndToEnd
{
    private const int Threads = 2;
    private const double Density = 0.5;

    // Small enough to be merged again in doubles, large enough for several chunks.
    private const string CheckedTensor = "model.layers.3.self_attn.k_proj.weight";

    /// <summary>A merge to time.</summary>
    /// <param name="Recipe">What runs.</param>
    /// <param name="Target">Ratio to reach, or <c>null</c>.</param>
    /// <param name="Models">The folders that it reads.</param>
    /// <param name="Formula">What it must give, or <c>null</c>: only its headers are checked.</param>
    private sealed record Case(Recipe Recipe, double? Target, string[] Models, ScalarMerge.Formula? Formula)
    {
        public string Name => Recipe.MergeMethod;
    }

    /// <summary>Measures the cases one by one.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        Console.Error.WriteLine($"checkpoint set in {options.Set}, outputs in {options.Out}");
        var set = CheckpointSet.OpenOrCreate(options.Set);
        string output = Path.Combine(options.Out, $"fusionkernels-ratios-{Environment.ProcessId}");
        try
        {
            foreach (var merge in Cases(set).Where(c => options.Case is null || c.Name == options.Case))
                yield return Measure(merge, set, output);
        }
        finally
        {
            if (Directory.Exists(output))
                Directory.Delete(output, recursive: true);
        }
    }

    private static IEnumerable<Case> Cases(CheckpointSet set)
    {
        string[] experts = [.. set.Experts], all = [set.Base, .. experts];
        yield return new(Add("linear", experts, ("weight", 1)), 0.60, experts, ScalarMerge.Linear);
        yield return new(OnBase("ties", ("weight", 1), ("density", Density)).With("normalize", 1), 0.35, all, ScalarMerge.Ties(Density));
        yield return new(OnBase("dare_ties", ("weight", 1), ("density", Density)), 0.35, all, ScalarMerge.DareTies(Density));
        yield return new(OnBase("task_arithmetic", ("weight", 1)), null, all, ScalarMerge.TaskArithmetic);
        yield return new(OnBase("dare_linear", ("weight", 1), ("density", Density)), null, all, ScalarMerge.DareLinear(Density));
        yield return new(Add("slerp", experts[..1]).WithBase(set.Base).With("t", 0.5), null, all[..2], null);
        yield return new(OnBase("model_stock"), null, all, null);
        yield return new(Add("passthrough", experts[..1]), null, experts[..1], ScalarMerge.Passthrough);

        Recipe OnBase(string method, params (string, Setting)[] parameters) => Add(method, experts, parameters).WithBase(set.Base);

        static Recipe Add(string method, string[] models, params (string, Setting)[] parameters) =>
            models.Aggregate(Recipe.For(method), (recipe, model) => recipe.Add(model, parameters));
    }

    private static Ratio Measure(Case merge, CheckpointSet set, string output)
    {
        double before = AnonymousMemory.NowMib(), peak = 0;
        bool isChecked = false;
        var pairs = Pairs.Measure(Anchor, Ours);
        Console.Error.WriteLine(
            $"{merge.Name}: anchor {Join(pairs.Anchor)} s, ours {Join(pairs.Ours)} s, anonymous memory before {before:F0} MiB");
        return new Ratio($"e2e/{merge.Name}", Pairs.Median(pairs.Ours), "plain read/write loop", Pairs.Median(pairs.Anchor), merge.Target)
        {
            PeakAnonymousMib = peak,
        };

        double Anchor()
        {
            var watch = Stopwatch.StartNew();
            PlainLoop.Run(merge.Models, output);
            double seconds = watch.Elapsed.TotalSeconds;
            Directory.Delete(output, recursive: true);
            return seconds;
        }

        double Ours()
        {
            using var memory = new AnonymousMemory();
            var watch = Stopwatch.StartNew();
            Merge.RunAsync(merge.Recipe, output, new MergeOptions { Threads = Threads }).GetAwaiter().GetResult();
            double seconds = watch.Elapsed.TotalSeconds;
            memory.Dispose();
            peak = Math.Max(peak, memory.PeakMib);
            if (!isChecked)
                Check(merge, set, output);
            isChecked = true;
            Directory.Delete(output, recursive: true);
            return seconds;
        }
    }

    private static string Join(double[] seconds) => string.Join(' ', seconds.Select(s => s.ToString("F3")));

    private static void Check(Case merge, CheckpointSet set, string output)
    {
        using var merged = OpenOutput(merge, output);
        using var origin = Checkpoint.Open(set.Base);
        if (!merged.Tensors.Select(Describe).ToHashSet().SetEquals(origin.Tensors.Select(Describe)))
            throw new WrongResultException($"{merge.Name}: the output's tensors are not the base's");
        if (merge.Formula is null)
            return;

        float[] actual = Read(output);
        double[] expected = merge.Formula(CheckedTensor, Read(set.Base), [.. set.Experts.Select(Read)]);
        for (int i = 0; i < actual.Length; i++)
        {
            // One rounding to bf16, and a little for the fp32 arithmetic before it.
            double allowed = Bf16.HalfStep(expected[i]) + (Math.Abs(expected[i]) * 1e-5) + 1e-8;
            if (!(Math.Abs(actual[i] - expected[i]) <= allowed))
                throw new WrongResultException($"{merge.Name}: {CheckedTensor}[{i}] is {actual[i]:G9}, not {expected[i]:G9}");
        }
    }

    private static Checkpoint OpenOutput(Case merge, string output)
    {
        try
        {
            return Checkpoint.Open(output);
        }
        catch (SafetensorsException e)
        {
            throw new WrongResultException($"{merge.Name}: the output cannot be read: {e.Message}");
        }
    }

    private static string Describe(CheckpointTensor tensor) => $"{tensor.Name} {tensor.Dtype} [{string.Join(", ", tensor.Shape)}]";

    private static float[] Read(string folder)
    {
        using var checkpoint = Checkpoint.Open(folder);
        if (!checkpoint.TryGet(CheckedTensor, out var tensor))
            throw new WrongResultException($"{folder} has no {CheckedTensor}");
        var bits = new ushort[tensor.ElementCount];
        tensor.Read(0, MemoryMarshal.AsBytes(bits.AsSpan()));
        var values = new float[bits.Length];
        Bf16.Widen(bits, values);
        return values;
    }
}
