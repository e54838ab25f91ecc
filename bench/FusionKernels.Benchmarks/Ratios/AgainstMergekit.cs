using System.Diagnostics;
using System.Reflection;
using FusionKernels.Recipes;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// The tool as a process of its own, from start to exit, against the seconds that mergekit 0.1.4 needs for the same recipe:
/// medians on two Zen 5 cores with torch 2.6, the checkpoint set in the page cache, the output in memory. mergekit is
/// not run here, so the ratios hold on a machine like that one. passthrough is judged against the copy loop, in the group e2e.
/// </summary>
internal static class AgainstMergekit
{
    private const int Runs = 3;
    private const double Density = 0.5;

    /// <summary>The tool as its project builds it.</summary>
    private static readonly string Tool = typeof(AgainstMergekit).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(a => a.Key == "Tool").Value!;

    private sealed record Case(Recipe Recipe, double MergekitSeconds, double? Target)
    {
        public string Name => Recipe.MergeMethod;
    }

    /// <summary>Measures the cases one by one.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        Case[] cases = Cases(CheckpointSet.OpenOrCreate(options.Set));
        if (options.Case is not null && cases.All(c => c.Name != options.Case))
        {
            throw new FormatException(
                $"'{options.Case}' is no case of mergekit; the cases are {string.Join(", ", cases.Select(c => c.Name))}");
        }

        string folder = Path.Combine(options.Out, $"fusionkernels-ratios-{Environment.ProcessId}");
        Directory.CreateDirectory(folder);
        try
        {
            foreach (var merge in cases.Where(c => options.Case is null || c.Name == options.Case))
                yield return Measure(merge, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Case[] Cases(CheckpointSet set)
    {
        string[] experts = [.. set.Experts], one = experts[..1], pair = experts[..2];
        (string, Setting) weight = ("weight", 1), density = ("density", Density);
        return
        [
            new(Add("passthrough", one), 7.1, null),
            new(OnBase("nearswap", one).With("t", 0.001), 13.9, 30),
            new(Add("linear", experts, weight), 16.3, null),
            new(OnBase("slerp", one).With("t", 0.5), 18.8, null),
            new(OnBase("task_arithmetic", experts, weight), 20.7, null),
            new(Add("nuslerp", pair, weight), 25.1, 30),
            new(OnBase("model_stock", experts), 25.3, null),
            new(OnBase("dare_linear", experts, weight, density), 30.8, null),
            new(OnBase("multislerp", experts, weight), 41.0, 30),
            new(OnBase("dare_ties", experts, weight, density), 48.0, null),
            new(OnBase("ram", experts), 51.8, 30),
            new(OnBase("arcee_fusion", one), 79.7, 30),
            new(Add("karcher", experts), 104.9, 30),
            new(OnBase("sce", experts).With("select_topk", Density), 116.6, 100),
            new(OnBase("ties", experts, weight, density), 168.4, null),
            new(OnBase("breadcrumbs", experts, weight, density), 177.0, 100),
            new(OnBase("breadcrumbs_ties", experts, weight, density), 177.0, 100),
            new(OnBase("della", experts, weight, density), 231.2, 100),
            new(OnBase("della_linear", experts, weight, density), 231.2, 100),
        ];

        Recipe OnBase(string method, string[] models, params (string, Setting)[] parameters) =>
            Add(method, models, parameters).WithBase(set.Base);

        static Recipe Add(string method, string[] models, params (string, Setting)[] parameters) =>
            models.Aggregate(Recipe.For(method), (recipe, model) => recipe.Add(model, parameters));
    }

    private static Ratio Measure(Case merge, string folder)
    {
        string recipe = Path.Combine(folder, merge.Name + ".yml"), output = Path.Combine(folder, merge.Name);
        File.WriteAllText(recipe, merge.Recipe.ToYaml());
        var seconds = new double[Runs];
        double peak = 0;
        for (int run = -1; run < Runs; run++)
        {
            var watch = Stopwatch.StartNew();
            using var tool = Process.Start(new ProcessStartInfo("dotnet")
            {
                ArgumentList = { Tool, "merge", recipe, output },
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            using var memory = new AnonymousMemory(tool.Id);
            var words = tool.StandardOutput.ReadToEndAsync();
            string complaint = tool.StandardError.ReadToEnd();
            tool.WaitForExit();
            words.Wait();
            if (run >= 0)
                seconds[run] = watch.Elapsed.TotalSeconds;
            memory.Dispose();
            peak = Math.Max(peak, memory.PeakMib);
            if (tool.ExitCode != 0)
                throw new WrongResultException($"{merge.Name}: the tool ended with {tool.ExitCode}: {complaint.Trim()}");
            Directory.Delete(output, recursive: true);
        }

        Console.Error.WriteLine($"{merge.Name}: {string.Join(' ', seconds.Select(s => s.ToString("F2")))} s");
        return new Ratio($"mergekit/{merge.Name}", Pairs.Median(seconds), "mergekit 0.1.4, a constant", merge.MergekitSeconds, merge.Target)
        {
            PeakAnonymousMib = peak,
        };
    }
}
