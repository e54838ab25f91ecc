namespace FusionKernels.Tests.Golden;

/// <summary>
/// Judges a merged tensor. Every judgement is <c>null</c> for agreement, else a line that says what is wrong.
/// </summary>
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
            return refusal is not null ? $"refused: {refusal}" : source.IsDropped ? null : "left out of the output";
        if (source.IsDropped)
            return "not left out of the output";
        var expected = source.Expected!;
        if (expected.Dtype != merged.Dtype)
            return $"dtype {merged.Dtype} instead of {expected.Dtype}";
        if (!expected.Shape.SequenceEqual(merged.Shape))
            return $"shape [{string.Join(", ", merged.Shape)}] instead of [{string.Join(", ", expected.Shape)}]";
        double bound = Agreement.Bound(expected.Values, Coarsest(source, expected));
        int[] wrong = Agreement.Disagreements(expected.Values, merged.Values, bound);
        if (wrong.Length > 0 && MethodFormula.Covers(source))
        {
            int[] decided = [.. wrong.Intersect(DecidedByPrecision(source, merged, bound))];
            if (decided.Length > 0)
                GoldenSummary.AddDecidedByPrecision(source.Id, decided.Length);
            wrong = [.. wrong.Except(decided)];
        }

        return Describe(expected.Values, merged, wrong, bound, "against mergekit");
    }

    /// <summary>Compares with what a known difference says the product gives instead.</summary>
    public static string? AgainstCorrection(
        TensorCase source, Difference difference, GoldenTensor? merged, string? refusal)
    {
        var objections = difference.Expect.Select(e => Objection(source, e, merged, refusal)).ToArray();
        return objections.Contains(null) ? null : string.Join("; ", objections);
    }

    /// <summary>
    /// The elements at which a yes/no decision depends on the precision, or on the order of ties where that is free:
    /// the readings of the formula decide differently, and mergekit and the product have the value of their own
    /// decision.
    /// </summary>
    private static IEnumerable<int> DecidedByPrecision(TensorCase source, GoldenTensor merged, double bound)
    {
        int models = source.TiesAreFree ? source.Experts.Count() : 0;
        Reading[] mergekit =
            [.. Enumerable.Range(0, 1 << models).Select(turned => MethodFormula.RoundingEachStep(source, turned))];
        var product = MethodFormula.RoundingOnce(source);
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
        return expectation switch
        {
            "accepted" => null,
            "formula" => Compare([.. MethodFormula.RoundingOnce(source).Values.Select(v => (double)v)], merged),
            "base" => Compare(source.BaseModel!.Tensor.Values, merged),
            "values" => CompareValues(source, merged),
            "repaired" => CompareRepaired(source, merged),
            "common rows" => merged.Shape[0] == source.Models.Min(m => m.Tensor.Shape[0])
                ? null
                : $"{merged.Shape[0]} rows",
            "line" => Compare(Line(source), merged),
            _ => throw Difference.Unknown(expectation),
        };
    }

    /// <summary>mergekit's values in another dtype.</summary>
    private static string? CompareValues(TensorCase source, GoldenTensor merged)
    {
        double bound = Agreement.Bound(source.Expected!.Values, WorkingType.Of(merged.Dtype));
        int[] wrong = [.. Agreement.Disagreements(source.Expected.Values, merged.Values, bound)
            .Except(MethodFormula.Covers(source) ? DecidedByPrecision(source, merged, bound) : [])];
        return Describe(source.Expected.Values, merged, wrong, bound, "against the correction");
    }

    /// <summary>mergekit's values where those are finite, finite values elsewhere.</summary>
    private static string? CompareRepaired(TensorCase source, GoldenTensor merged)
    {
        double[] expected = source.Expected!.Values;
        double bound = Agreement.Bound(expected, WorkingType.Of(merged.Dtype));
        int[] wrong = [.. Agreement.Disagreements(expected, merged.Values, bound)
            .Where(i => double.IsFinite(expected[i]) || !double.IsFinite(merged.Values[i]))];
        return Describe(expected, merged, wrong, bound, "against the correction");
    }

    /// <summary>The weighted average of the models.</summary>
    private static double[] Line(TensorCase source)
    {
        double[] weights = [.. source.Experts.Select(m => source.Parameter(m, "weight", 1))];
        return [.. Enumerable.Range(0, source.Models[0].Tensor.Values.Length)
            .Select(j => source.Experts.Zip(weights, (m, w) => m.Tensor.Values[j] * w).Sum() / weights.Sum())];
    }

    private static string? Describe(double[] expected, GoldenTensor merged, int[] wrong, double bound, string what) =>
        wrong.Length == 0 ? null : Agreement.Describe(expected, merged.Values, wrong, bound, what);

    /// <summary>Compares values alone, in the merged tensor's precision.</summary>
    private static string? Compare(double[] expected, GoldenTensor merged) => Agreement.Disagreement(
        expected, merged.Values, Agreement.Bound(expected, WorkingType.Of(merged.Dtype)), "against the correction");
}
