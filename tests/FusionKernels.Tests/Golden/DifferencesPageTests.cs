namespace FusionKernels.Tests.Golden;

/// <summary>The page for people says what the list for the runner says.</summary>
public sealed class DifferencesPageTests
{
    [Test]
    public void Every_entry_of_the_list_stands_on_the_page()
    {
        string page = File.ReadAllText(Path.Combine(GoldenFolder.Shipped, "..", "..", "docs", "mergekit-differences.md"));
        string[] named = page.Split('[').Skip(1).SelectMany(part => part.Split(']')[0].Split(", ")).ToArray();
        Assert.That(Difference.All.Select(d => d.Name).Except(named), Is.Empty);
    }
}
