using System.Collections.Concurrent;
using NUnit.Framework.Interfaces;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// Counts the verdicts per manifest, and prints them with the known differences when all golden tests have run.
/// </summary>
[SetUpFixture]
internal sealed class GoldenSummary
{
    private static readonly ConcurrentQueue<(string Folder, TestStatus Status, string Message)> s_verdicts = [];
    private static readonly ConcurrentQueue<(Difference Difference, string Id, bool Shows)> s_differences = [];
    private static readonly ConcurrentQueue<(string Id, int Elements)> s_decided = [];

    /// <summary>Counts a finished test.</summary>
    public static void Add(string folder, TestContext.ResultAdapter result) =>
        s_verdicts.Enqueue((folder, result.Outcome.Status, result.Message ?? ""));

    /// <summary>Notes a case that an entry applies to, and whether it differs from mergekit.</summary>
    public static void Add(Difference difference, string id, bool shows) =>
        s_differences.Enqueue((difference, id, shows));

    /// <summary>
    /// Notes elements of a case at which the precision decides, and which therefore were not compared with mergekit's.
    /// </summary>
    public static void AddDecidedByPrecision(string id, int elements) => s_decided.Enqueue((id, elements));

    /// <summary>Prints the summary.</summary>
    [OneTimeTearDown]
    public void Print()
    {
        foreach (var folder in s_verdicts.GroupBy(v => v.Folder).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            var count = folder.ToLookup(v => v.Status);
            int differences = s_differences.Where(d => d.Shows).Select(d => d.Id).Distinct()
                .Count(id => id.StartsWith(folder.Key + "/", StringComparison.Ordinal));
            TestContext.Progress.WriteLine(
                $"golden {folder.Key}: {folder.Count()} cases, {count[TestStatus.Passed].Count()} passed " +
                $"({differences} by a known difference), {count[TestStatus.Failed].Count()} failed, " +
                $"{count[TestStatus.Skipped].Count()} skipped");
            foreach (var reason in count[TestStatus.Skipped].GroupBy(v => v.Message).OrderByDescending(g => g.Count()))
                TestContext.Progress.WriteLine($"  skipped {reason.Count()}: {reason.Key}");
        }

        if (!s_decided.IsEmpty)
        {
            TestContext.Progress.WriteLine(
                $"golden: the precision decides {s_decided.Sum(d => d.Elements)} elements in {s_decided.Count} cases");
        }

        foreach (var difference in s_differences.GroupBy(d => d.Difference.Name))
        {
            string[] ids =
                [.. difference.Where(d => d.Shows).Select(d => d.Id).Distinct().Order(StringComparer.Ordinal)];
            string shown = ids.Length > 0 ? string.Join(", ", ids) : "shows in none of its cases";
            string reason = difference.First().Difference.Reason;
            TestContext.Progress.WriteLine($"difference {difference.Key}: {reason}: {shown}");
        }
    }
}
