namespace FusionKernels.Tests.Golden;

/// <summary>The judge of border elements must itself give what mergekit gave.</summary>
[Category("Golden")]
internal sealed class TaskVectorFormulaTests
{
    [Test]
    public void In_mergekits_reading_it_gives_mergekits_bits()
    {
        int elements = 0, equal = 0;
        foreach (var folder in GoldenFolder.Tensors)
        {
            foreach (var json in folder.Records("cases"))
            {
                var source = new TensorCase(folder, json);
                if (source.Expected is null || !TaskVectorFormula.Covers(source))
                    continue;
                double[] computed = [.. TaskVectorFormula.AsMergekit(source).Values];
                int same = source.Expected.Values.Zip(computed, (a, b) => a.Equals(b) ? 1 : 0).Sum();
                if (same < computed.Length) TestContext.Progress.WriteLine($"{source} {same} of {computed.Length} " + Agreement.Describe(source.Expected.Values, computed, Agreement.Disagreements(source.Expected.Values, computed, 0).DefaultIfEmpty(0).ToArray(), 0, ""));
                elements += computed.Length;
                equal += same;
            }
        }

        TestContext.Progress.WriteLine($"{equal} {elements}");
        Assert.That(equal, Is.GreaterThan(0.999 * elements));
    }
}
