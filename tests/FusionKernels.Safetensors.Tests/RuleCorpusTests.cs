using FusionKernels.Tests;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Files that break a rule of the format, or just keep it: every row of the manifest has its verdict.</summary>
[TestFixture]
public sealed class RuleCorpusTests
{
    private static readonly string Folder = Path.Combine(RepositoryRoot.Path, "tests", "corpus", "rules");

    private static IEnumerable<TestCaseData> Rows => File.ReadLines(Path.Combine(Folder, "MANIFEST.md"))
        .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
        .Skip(1)
        .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
        .Select(row => new TestCaseData(row[1], row[2]));

    [Test]
    public void The_manifest_lists_every_file_and_folder()
    {
        string[] all = [.. Directory.GetFiles(Folder, "*.safetensors"), .. Directory.GetDirectories(Path.Combine(Folder, "index"))];
        Assert.That(
            Rows.Select(row => (string)row.Arguments[0]!),
            Is.EquivalentTo(all.Select(path => Path.GetRelativePath(Folder, path).Replace('\\', '/'))));
    }

    [TestCaseSource(nameof(Rows))]
    public void A_file_has_the_verdict_of_its_row(string file, string verdict)
    {
        string path = Path.Combine(Folder, file);
        if (verdict is "ok" or "warning")
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Assert.That(checkpoint.Warnings, verdict == "ok" ? Is.Empty : Has.Count.EqualTo(1));
            return;
        }

        var error = Assert.Throws<SafetensorsException>(() => Checkpoint.Open(path).Dispose())!;
        Assert.That(error.Code.ToString(), Is.EqualTo(verdict), error.Message);
        Assert.That(error.Message, Does.Contain(Path.GetFileName(file)).And.Not.Contain("\n"));
    }
}
