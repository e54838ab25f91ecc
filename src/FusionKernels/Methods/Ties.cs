using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// TIES (Yadav et al. 2023): trim each task vector to its largest magnitudes, elect a sign per element, merge the values that agree.
/// <para>Variant <c>mergekit</c>: exactly trunc(density * n) elements are kept in each tensor (ties keep the lower index), the weights
/// apply before the election, an exact zero elects plus.</para>
/// <para>Variant <c>paper</c>: one threshold per model over all its tensors, the (trunc(density * d) + 1)-th largest magnitude of
/// d, ties kept; an exact zero elects the majority of all elected signs.</para>
/// </summary>
public sealed class Ties : TaskVectorMethod
{
    /// <inheritdoc/>
    public override string Name => "ties";

    /// <inheritdoc/>
    public override string Summary => "trim, elect signs, merge what agrees (Yadav et al. 2023)";

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        Weight, Density, Normalize(true), Rescale(false), Lambda, Int8Mask,
        new("variant", ParameterScope.Global, null, "trim per tensor (mergekit) or per model (paper)", Words: ["mergekit", "paper"]),
        new("function", ParameterScope.Global, null, "what becomes of the values that agree; mean and sum set normalize", Words: ["default", "mean", "sum", "max"]),
    ];

    private protected override bool ElectsSigns => true;

    /// <inheritdoc/>
    internal override object? Survey(ModelSurvey model)
    {
        if (model.Word("variant") != "paper")
            return null;
        var masks = model.SelectMagnitudes((elements, ordinal) =>
            model.Number("density", ordinal) is var density && density >= 1 ? null : (long)(density * elements) + 1);
        return new PaperState(masks, model.SumOfElectedSigns("weight", masks) <= 0);
    }

    private protected override void Sparsify(TensorMerge tensor, MergeSource[] sources)
    {
        if (tensor.ModelState is PaperState paper)
        {
            for (int i = 0; i < sources.Length; i++)
                sources[i] = sources[i] with { Mask = paper.Masks[tensor.Models[i].Ordinal] };
            return;
        }

        tensor.KeepLargest(sources, tensor.Models.Select(m => m["density"] >= 1 ? (long?)null : (long)(m["density"] * tensor.Length)).ToArray());
    }

    private protected override void Combine(TensorMerge tensor, MergeSource[] sources)
    {
        bool zeroElectsNegative = tensor.ModelState is PaperState { ZeroElectsNegative: true };
        float lambda = (float)tensor.Number("lambda");
        switch (tensor.Word("function"))
        {
            case "max":
                tensor.CombineDeltas(new DisjointMax(lambda, zeroElectsNegative), sources);
                break;
            case var function:
                bool normalize = function == "default" ? tensor.Flag("normalize") : function == "mean";
                tensor.CombineDeltas(new DisjointMerge(lambda, normalize, zeroElectsNegative), sources);
                break;
        }
    }

    private sealed record PaperState(Mask[] Masks, bool ZeroElectsNegative);
}
