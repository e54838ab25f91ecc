using System.Diagnostics;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Whole merges against <see cref="PlainLoop"/>, which reads the same models and writes as much: from recipe to
/// finished folder, in process, default options on two threads.
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
        Case[] cases = Cases(set);
        if (options.Case is not null && cases.All(c => c.Name != options.Case))
        {
            throw new FormatException(
                $"'{options.Case}' is no case of e2e; the cases are {string.Join(", ", cases.Select(c => c.Name))}");
        }

        string output = Path.Combine(options.Out, $"fusionkernels-ratios-{Environment.ProcessId}");
        try
        {
            foreach (var merge in cases.Where(c => options.Case is null || c.Name == options.Case))
                yield return Measure(merge, set, output);
        }
        finally
        {
            if (Directory.Exists(output))
                Directory.Delete(output, recursive: true);
        }
    }

    private static Case[] Cases(CheckpointSet set)
    {
        string[] experts = [.. set.Experts], all = [set.Base, .. experts], pair = all[..2], one = experts[..1];
        (string, Setting) weight = ("weight", 1), density = ("density", Density);
        return
        [
            new(Add("linear", experts, weight), 0.60, experts, ScalarMerge.Linear),
            new(OnBase("ties", experts, weight, density).With("normalize", 1), 0.35, all, ScalarMerge.Ties(Density)),
            new(OnBase("dare_ties", experts, weight, density), 0.35, all, ScalarMerge.DareTies(Density)),
            new(OnBase("task_arithmetic", experts, weight), null, all, ScalarMerge.TaskArithmetic),
            new(OnBase("dare_linear", experts, weight, density), null, all, ScalarMerge.DareLinear(Density)),
            new(OnBase("slerp", one).With("t", 0.5), null, pair, null),
            new(OnBase("model_stock", experts), null, all, null),
            new(Add("passthrough", one), 0.90, one, ScalarMerge.Passthrough),
        ];

        Recipe OnBase(string method, string[] models, params (string, Setting)[] parameters) =>
            Add(method, models, parameters).WithBase(set.Base);

        static Recipe Add(string method, string[] models, params (string, Setting)[] parameters) =>
            models.Aggregate(Recipe.For(method), (recipe, model) => recipe.Add(model, parameters));
    }

    private static Ratio Measure(Case merge, CheckpointSet set, string output)
    {
        double before = AnonymousMemory.NowMib(), peak = 0;
        bool isChecked = false;
        var pairs = Pairs.Measure(Anchor, Ours);
        Console.Error.WriteLine(
            $"{merge.Name}: anchor {Join(pairs.Anchor)} s, ours {Join(pairs.Ours)} s, "
            + $"anonymous memory {before:F0} MiB before, {peak:F0} MiB at the peak");
        double ours = Pairs.Median(pairs.Ours), anchor = Pairs.Median(pairs.Anchor);
        return new Ratio($"e2e/{merge.Name}", ours, "plain read/write loop", anchor, merge.Target)
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

        float[] actual = Bf16.Read(output, CheckedTensor);
        float[][] experts = [.. set.Experts.Select(e => Bf16.Read(e, CheckedTensor))];
        double[] expected = merge.Formula(CheckedTensor, Bf16.Read(set.Base, CheckedTensor), experts);
        for (int i = 0; i < actual.Length; i++)
        {
            // One rounding to bf16, and a little for the fp32 arithmetic before it.
            double allowed = Bf16.HalfStep(expected[i]) + (Math.Abs(expected[i]) * 1e-5) + 1e-8;
            if (!(Math.Abs(actual[i] - expected[i]) <= allowed))
            {
                throw new WrongResultException(
                    $"{merge.Name}: {CheckedTensor}[{i}] is {actual[i]:G9}, not {expected[i]:G9}");
            }
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

    private static string Describe(CheckpointTensor tensor) =>
        $"{tensor.Name} {tensor.Dtype} [{string.Join(", ", tensor.Shape)}]";
}
