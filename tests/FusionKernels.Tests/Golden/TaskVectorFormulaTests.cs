namespace FusionKernels.Tests.Golden;

/// <summary>The judge of border elements must itself give what mergekit gave.</summary>
internal sealed class TaskVectorFormulaTests : GoldenFixture
{
    /// <summary>
    /// Bit for bit, except where a norm is restored in f32: there the order of torch's long sum shows in the last
    /// digits.
    /// </summary>
    [Test]
    public void Rounding_each_step_gives_mergekits_bits()
    {
        var sources = from folder in GoldenFolder.TensorCases
                      from json in folder.Records("cases")
                      select TensorCase.Read(folder, json);
        int cases = 0, equal = 0;
        foreach (var source in sources.Where(s => s.Expected is not null && TaskVectorFormula.Covers(s)))
        {
            var working = MethodFormula.Storage(source);
            double[] computed = [.. TaskVectorFormula.Read(source, working, keepsDefect: true, turned: 0).Values];
            cases++;
            equal += computed.AsSpan().SequenceEqual(source.Expected!.Values) ? 1 : 0;
            Agreement.Assert(source.Expected.Values, computed, 1e-6, source.Id);
        }

        Assert.That(equal, Is.GreaterThan(0.97 * cases));
    }
}
