namespace FusionKernels.Tests.Golden;

/// <summary>Judges a merged tensor. Every judgement is <c>null</c> for agreement, else a line that says what is wrong.</summary>
internal static class TensorVerdict
{
    /// <summary>Compares with what mergekit gave.</summary>
    /// <param name="source">The case.</param>
    /// <param name="merged">The product's tensor, or <c>null</c>.</param>
    /// <param name="refusal">The product's error, or <c>null</c>.</param>
    public static string? AgainstMergekit(TensorCase source, GoldenTensor? merged, string? refusal)
    {
        if (source.Error is not null)
            return refusal is null ? $"merged what mergekit refuses ({source.Error})" : null;
        if (merged is null)
            return $"refused: {refusal}";
        var expected = source.Expected!;
        if (expected.Dtype != merged.Dtype)
            return $"dtype {merged.Dtype} instead of {expected.Dtype}";
        if (!expected.Shape.SequenceEqual(merged.Shape))
            return $"shape [{string.Join(", ", merged.Shape)}] instead of [{string.Join(", ", expected.Shape)}]";
        double bound = Agreement.Bound(expected.Values, Coarsest(source, expected));
        int[] wrong = Agreement.Disagreements(expected.Values, merged.Values, bound);
        if (wrong.Length > 0 && TaskVectorFormula.Covers(source))
            wrong = [.. wrong.Except(DecidedByPrecision(source, merged, bound))];
        return wrong.Length == 0 ? null : Agreement.Describe(expected.Values, merged.Values, wrong, bound, "against mergekit");
    }

    /// <summary>Compares with what a known difference says the product gives instead.</summary>
    public static string? AgainstCorrection(TensorCase source, Difference difference, GoldenTensor? merged, string? refusal)
    {
        var objections = difference.Expect.Select(e => Objection(source, e, merged, refusal)).ToArray();
        return objections.Contains(null) ? null : string.Join("; ", objections);
    }

    /// <summary>
    /// The elements at which a yes/no decision depends on the precision, or on the order of ties where that is free: the readings of the
    /// formula decide differently, and mergekit and the product have the value of their own decision.
    /// </summary>
    private static IEnumerable<int> DecidedByPrecision(TensorCase source, GoldenTensor merged, double bound)
    {
        int models = source.TiesAreFree ? source.Experts.Count() : 0;
        var mergekit = Enumerable.Range(0, 1 << models).Select(turned => TaskVectorFormula.RoundingEachStep(source, turned)).ToArray();
        var product = TaskVectorFormula.RoundingOnce(source);
        return Enumerable.Range(0, merged.Values.Length).Where(i =>
            Agreement.Agrees(product.Values[i], merged.Values[i], bound)
            && mergekit.Any(reading => reading.Decisions[i] != product.Decisions[i]
                && Agreement.Agrees(reading.Values[i], source.Expected!.Values[i], bound)));
    }

    /// <summary>The least precise type that the result went through: the working type and the stored one.</summary>
    private static WorkingType Coarsest(TensorCase source, GoldenTensor expected) =>
        new[] { source.Dtype, WorkingType.Of(expected.Dtype) }.OfType<WorkingType>().MaxBy(t => t.Tolerance)!;

    private static string? Objection(TensorCase source, string expectation, GoldenTensor? merged, string? refusal)
    {
        if (expectation == "refused")
            return refusal is null ? "not refused" : null;
        if (merged is null)
            return $"refused: {refusal}";
        switch (expectation)
        {
            case "accepted":
                return null;
            case "formula":
                return Compare([.. TaskVectorFormula.RoundingOnce(source).Values.Select(v => (double)v)], merged);
            case "base":
                return Compare(source.BaseModel!.Tensor.Values, merged);
            case "values":
                return Compare(source.Expected!.Values, merged);
            case "finite":
                int at = Array.FindIndex(merged.Values, v => !double.IsFinite(v));
                return at < 0 ? null : $"element {at} is {merged.Values[at]}";
            default:
                throw new ArgumentException($"differences.json expects '{expectation}', which the runner does not know.");
        }
    }

    /// <summary>Compares values alone, in the merged tensor's precision.</summary>
    private static string? Compare(double[] expected, GoldenTensor merged)
    {
        if (expected.Length != merged.Values.Length)
            return $"{merged.Values.Length} elements instead of {expected.Length}";
        double bound = Agreement.Bound(expected, WorkingType.Of(merged.Dtype));
        int[] wrong = Agreement.Disagreements(expected, merged.Values, bound);
        return wrong.Length == 0 ? null : Agreement.Describe(expected, merged.Values, wrong, bound, "against the correction");
    }
}
