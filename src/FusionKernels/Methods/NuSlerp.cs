using FusionKernels.Execution;

namespace FusionKernels.Methods;

/// <summary>
/// Spherical interpolation of two models or, with a base, of their task vectors:
/// y = (sin((1-t) th) v0 + sin(t th) v1) / sin th with t = w1 / (w0 + w1) and th the angle between them. A vector is the
/// whole tensor, or each row (<c>nuslerp_flatten: false</c>; a row runs along the last axis), or each column
/// (<c>nuslerp_row_wise: true</c> besides, whose name in mergekit says the opposite; a column runs along the first axis).
/// Vectors that are parallel or opposite are interpolated on the straight line between them.
/// </summary>
public sealed class NuSlerp : MergeMethod
{
    // Angles this close to 0 or 180 degrees are rounding errors of fp32 weights and of the fp64 Gram.
    private const double SmallestSine = 1e-6;

    /// <inheritdoc/>
    public override string Name => "nuslerp";

    /// <inheritdoc/>
    public override string Summary => "spherical interpolation of two models or task vectors, per tensor, row or column";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Optional;

    /// <inheritdoc/>
    public override int MinModelsOnBase => 2;

    /// <inheritdoc/>
    public override int MaxModels => 2;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("weight", ParameterScope.PerModel, null, "the model's weight", Required: true),
        new("nuslerp_flatten", ParameterScope.Global, 1, "the whole tensor is one vector"),
        new("nuslerp_row_wise", ParameterScope.Global, 0, "without flattening: columns (first axis) instead of rows"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        if (sources.Length == 1)
        {
            tensor.Copy(sources[0].Input);
            return;
        }

        double w0 = tensor.Models[0]["weight"], w1 = tensor.Models[1]["weight"];
        double t = Math.Abs(w0 + w1) < 1e-6 ? 0.5 : w1 / (w0 + w1);
        if (tensor.Flag("nuslerp_flatten") || tensor.Shape.Count < 2)
            tensor.CombineSpan(sources, Coefficients(tensor.Gram(sources, deltas: tensor.Base is not null), t));
        else if (tensor.Flag("nuslerp_row_wise"))
            tensor.CombineColumns(sources, tensor.GramColumns(sources).Select(gram => Coefficients(gram, t)).ToArray());
        else
            tensor.CombineRows(sources, tensor.GramRows(sources).Select(gram => Coefficients(gram, t)).ToArray());
    }

    private static double[] Coefficients(double[] gram, double t)
    {
        double norms = Math.Max(Math.Sqrt(gram[0]), 1e-7) * Math.Max(Math.Sqrt(gram[2]), 1e-7);
        double angle = Math.Acos(Math.Clamp(gram[1] / norms, -1, 1)), sine = Math.Sin(angle);
        return sine < SmallestSine ? [1 - t, t] : [Math.Sin((1 - t) * angle) / sine, Math.Sin(t * angle) / sine];
    }
}
