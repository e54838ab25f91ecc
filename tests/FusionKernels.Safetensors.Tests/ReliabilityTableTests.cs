using System.Text.RegularExpressions;
using FusionKernels.Tests;

namespace FusionKernels.Safetensors.Tests;

/// <summary>tests/RELIABILITY.md is true: all its rows are there, and so are the tests that it names.</summary>
[TestFixture]
public sealed partial class ReliabilityTableTests
{
    private const int Rows = 43;

    private static readonly string Folder = Path.Combine(RepositoryRoot.Path, "tests");

    private static readonly string[] Table =
    [
        .. File.ReadLines(Path.Combine(Folder, "RELIABILITY.md"))
            .Where(line => line.StartsWith("| R", StringComparison.Ordinal)),
    ];

    [Test]
    public void Every_row_is_there_once_and_in_order() => Assert.That(
        Table.Select(row => row.Split('|', StringSplitOptions.TrimEntries)[1]),
        Is.EqualTo(Enumerable.Range(1, Rows).Select(n => $"R{n}")));

    [Test]
    public void Every_row_names_a_test_or_says_why_there_is_none() =>
        Assert.That(Table, Has.All.Match(@"\| (`\w+\.\w+`|no test: .+) ?[^|]*\|$"));

    [Test]
    public void Every_test_that_is_named_exists()
    {
        var sources = Directory.EnumerateFiles(Folder, "*Tests.cs", SearchOption.AllDirectories)
            .GroupBy(path => Path.GetFileNameWithoutExtension(path))
            .ToDictionary(group => group.Key, group => string.Concat(group.Select(File.ReadAllText)));
        string[] missing =
        [
            .. Table.SelectMany(row => TestName().Matches(row)).Where(name =>
                !sources.TryGetValue(name.Groups[1].Value, out string? source)
                || !Regex.IsMatch(source, $@"public (async Task|void) {name.Groups[2].Value}\("))
                .Select(name => name.Value),
        ];
        Assert.That(missing, Is.Empty);
    }

    [GeneratedRegex(@"`(\w+Tests)\.(\w+)`")]
    private static partial Regex TestName();
}
