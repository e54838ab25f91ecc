namespace FusionKernels.Tests.Golden;

/// <summary>What a formula gives for one tensor.</summary>
/// <param name="Values">The elements.</param>
/// <param name="Decisions">Per element the yes/no decisions that led to it, as bits.</param>
internal sealed record Reading(float[] Values, ulong[] Decisions);

/// <summary>
/// Scalar formulas of the methods that take yes/no decisions per element. Read with every step rounded to the working
/// type, as mergekit computes, and with one rounding at the end, as the product does, they tell at which elements the
/// precision decides.
/// </summary>
internal static class MethodFormula
{
    /// <summary>Whether there is a formula for the case.</summary>
    public static bool Covers(TensorCase source) =>
        TaskVectorFormula.Covers(source) || SparseAverageFormula.Covers(source) || WeightedMeanFormula.Covers(source)
        || SceFormula.Covers(source) || ArceeFusionFormula.Covers(source) || NuSlerpFormula.Covers(source);

    /// <summary>Every step rounded to the working type.</summary>
    /// <param name="source">The case.</param>
    /// <param name="turned">
    /// A bit for each model whose ties at the border of a trim are to be decided the other way: the kept ones dropped,
    /// the dropped kept.
    /// </param>
    public static Reading RoundingEachStep(TensorCase source, int turned = 0) =>
        Read(source, Storage(source), turned);

    /// <summary>One rounding at the end.</summary>
    public static Reading RoundingOnce(TensorCase source) =>
        Read(source, WorkingType.F32, turned: 0);

    /// <summary>The type that mergekit works in, and stores where no other is named.</summary>
    public static WorkingType Storage(TensorCase source)
    {
        var first = source.BaseModel ?? source.Models[0];
        bool promotes = source.BaseModel is null && source.Models.Any(m => m.Tensor.Dtype != first.Tensor.Dtype);
        return source.Dtype ?? (promotes ? WorkingType.F32 : WorkingType.Of(first.Tensor.Dtype));
    }

    private static Reading Read(TensorCase source, WorkingType working, int turned) =>
        TaskVectorFormula.Covers(source) ? TaskVectorFormula.Read(source, working, keepsDefect: false, turned)
        : SparseAverageFormula.Covers(source) ? SparseAverageFormula.Read(source, working)
        : SceFormula.Covers(source) ? SceFormula.Read(source, working, turned)
        : ArceeFusionFormula.Covers(source) ? ArceeFusionFormula.Read(source, working)
        : NuSlerpFormula.Covers(source) ? NuSlerpFormula.Read(source, working)
        : WeightedMeanFormula.Read(source, working);
}
