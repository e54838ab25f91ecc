using System.IO.Enumeration;
using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// A known difference from what a case records: an entry of <c>differences.json</c>. It applies to every case whose
/// facts match, so that cases of the same kind with other ids are covered too; its ids only inform.
/// </summary>
internal sealed record Difference(
    string Name,
    IReadOnlyDictionary<string, string[]> Where,
    IReadOnlyList<string> Expect,
    string Reason,
    IReadOnlyList<string> Ids)
{
    private static readonly JsonSerializerOptions s_spelling =
        new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private static readonly Lazy<IReadOnlyList<Difference>> s_all = new(() => JsonSerializer.Deserialize<Difference[]>(
        File.ReadAllText(Path.Combine(GoldenFolder.Shipped, "mergekit", "differences.json")), s_spelling)!);

    /// <summary>All entries.</summary>
    public static IReadOnlyList<Difference> All => s_all.Value;

    /// <summary>The first entry for a case, or <c>null</c>.</summary>
    /// <param name="fact">The case's facts by name; <c>null</c> for what cases of its kind do not have.</param>
    public static Difference? Of(Func<string, string?> fact) => All.FirstOrDefault(d => d.Matches(fact));

    /// <summary>For an expectation that is none of a kind of case.</summary>
    public static Exception Unknown(string expectation) =>
        new ArgumentException($"differences.json expects '{expectation}', which the runner does not know.");

    /// <summary>Whether every fact matches one of its patterns, with '*' and '?'.</summary>
    public bool Matches(Func<string, string?> fact) => Where.All(w => fact(w.Key) is { } value
        && w.Value.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, value, ignoreCase: false)));

    /// <summary>
    /// Decides a case that the entry applies to. What agrees with the corrected behaviour passes; what agrees with
    /// mergekit instead makes the entry stale, which is a failure, so that the list stays honest.
    /// </summary>
    /// <param name="id">The case.</param>
    /// <param name="againstMergekit">What disagrees with mergekit's result, or <c>null</c>.</param>
    /// <param name="againstCorrection">What disagrees with the corrected result, or <c>null</c>.</param>
    public void Decide(string id, string? againstMergekit, string? againstCorrection)
    {
        if (againstCorrection is not null)
        {
            Assert.Fail(againstMergekit is null
                ? $"difference '{Name}' is stale: the result is mergekit's, not the corrected one ({againstCorrection})"
                : $"difference '{Name}' expects {string.Join(" or ", Expect)}: {againstCorrection}");
        }

        GoldenSummary.Add(this, id, shows: againstMergekit is not null);
    }
}
