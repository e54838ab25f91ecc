using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Planning;

namespace FusionKernels.Methods;

/// <summary>Weighted average of the models (Wortsman et al. 2022, "Model soups"): y = sum_i w_i x_i / sum_i w_i.</summary>
public sealed class Linear : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "linear";

    /// <inheritdoc/>
    public override string Summary => "weighted average (Model soups, Wortsman et al. 2022)";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.None;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("weight", ParameterScope.PerModel, null, "the model's weight", Required: true),
        new("normalize", ParameterScope.Global, 1, "divide by the sum of the weights"),
    ];

    /// <inheritdoc/>
    internal override IEnumerable<string> Warnings(IEnumerable<PlannedTensor> tensors)
    {
        var cancelled = tensors
            .Where(t => t.Parameters["normalize"].Number != 0 && t.Sources.Sum(s => (float)s["weight"]) == 0).ToArray();
        if (cancelled.Length > 0)
        {
            yield return $"{Name}: the weights sum to 0 in {cancelled.Length} tensor(s) "
                + $"({cancelled[0].Spec.Name}, ...): the average is NaN or infinite, as in mergekit "
                + "('normalize: false' takes the sum)";
        }
    }

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input) { Weight = (float)m["weight"] }).ToArray();
        float divisor = tensor.Flag("normalize") ? sources.Sum(s => s.Weight) : 1;
        tensor.Combine(new WeightedSum(divisor), sources);
    }
}
