namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// A group of ratios that belong together. A new group is one file in this folder and one line in <see cref="All"/>.
/// </summary>
/// <param name="Name">What to call it by: <c>ratios NAME</c>.</param>
/// <param name="Measure">Measures the group's ratios one by one.</param>
internal sealed record RatioGroup(string Name, Func<RatioOptions, IEnumerable<Ratio>> Measure)
{
    /// <summary>All groups, in the order in which <c>ratios all</c> runs them.</summary>
    public static IReadOnlyList<RatioGroup> All { get; } =
    [
        new("e2e", EndToEnd.Measure),
        new("mergekit", AgainstMergekit.Measure),
        new("gemm", Products.Measure),
        new("rsvd", Sketches.Measure),
        new("smile", Smile.Measure),
#if FUSION_GPU
        new("gpu-streaming", Gpu.StreamingOnGpu.Measure),
        new("gpu-dense", Gpu.DenseOnGpu.Measure),
        new("gpu-merge", Gpu.MergeOnGpu.Measure),
#endif
    ];

    /// <summary>The <c>ratios</c> mode: prints a JSON line per ratio; notes go to the error stream.</summary>
    /// <returns>The exit code: 0; 1 if a measured result is wrong; 2 if the arguments are.</returns>
    public static int Run(ReadOnlySpan<string> arguments)
    {
        string name = arguments.Length > 0 ? arguments[0] : "";
        RatioGroup[] groups = [.. All.Where(g => name == "all" || name == g.Name)];
        if (groups.Length == 0)
        {
            string names = string.Join(", ", All.Select(g => g.Name));
            Console.Error.WriteLine($"ratios: '{name}' is no group; the groups are all, {names}");
            return 2;
        }

        try
        {
            var options = RatioOptions.Parse(arguments[1..]);
            foreach (var ratio in groups.SelectMany(g => g.Measure(options)))
                Console.WriteLine(ratio.ToJson());
            return 0;
        }
        catch (FormatException e)
        {
            Console.Error.WriteLine($"ratios: {e.Message}");
            return 2;
        }
        catch (WrongResultException e)
        {
            Console.Error.WriteLine($"ratios: {e.Message}");
            return 1;
        }
    }
}
