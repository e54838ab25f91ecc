using FusionKernels.Execution;

namespace FusionKernels.Methods;

/// <summary>
/// Barycentric interpolation on a hypersphere, in one step from the tangent space at the mean direction, of any number of models or, with a
/// base, of their task vectors. With n_i = |X_i|, u_i = X_i / (n_i + eps), m the normalised weighted mean of the u_i, tangents
/// tau_i = u_i - (u_i.m) m and T = sum w_i tau_i: y = (cos|T| m + sin|T| T/|T|) sum w_i n_i. All vectors lie in the span of
/// the X_i, so the result is a weighted sum whose weights follow from their Gram matrix.
/// </summary>
public sealed class MultiSlerp : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "multislerp";

    /// <inheritdoc/>
    public override string Summary => "spherical interpolation of many models in one tangent step";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Optional;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.Equal;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("weight", ParameterScope.PerModel, null, "the model's weight", Required: true),
        new("normalize_weights", ParameterScope.Global, 1, "divide the weights by their sum"),
        new("eps", ParameterScope.Global, 1e-8, "lengths below it count as none"),
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

        var span = new VectorSpan(tensor.Gram(sources, deltas: tensor.Base is not null), sources.Length);
        double[] weights = tensor.Models.Select(m => m["weight"]).ToArray();
        if (tensor.Flag("normalize_weights"))
        {
            double sum = weights.Sum();
            weights = weights.Select(w => w / sum).ToArray();
        }

        tensor.CombineSpan(sources, Coefficients(tensor, span, weights, tensor.Number("eps")));
    }

    private static double[] Coefficients(TensorMerge tensor, VectorSpan span, double[] weights, double eps)
    {
        double[] norms = span.Norms;
        double[][] units = norms.Select((n, i) => span.Vector(i, 1 / (n + eps))).ToArray();
        double[] mean = VectorSpan.Sum(units, weights);
        double length = span.Norm(mean);
        if (length < eps)
        {
            // Two models: the plain weighted sum. A tensor that no model changed: all task vectors are zero, and so is their merge.
            if (span.Count == 2 || norms.All(n => n == 0))
                return weights;
            throw new MergeException(
                MergeError.Models, $"{tensor.Name}: the models' directions cancel out, so they have no mean on the sphere (multislerp)");
        }

        mean = VectorSpan.Scale(mean, 1 / length);
        double[] step = VectorSpan.Sum(units.Select(u => VectorSpan.Add(u, mean, -span.Dot(u, mean))).ToArray(), weights);
        double angle = span.Norm(step) + eps;
        double radius = weights.Zip(norms, (w, n) => w * n).Sum();
        return VectorSpan.Add(VectorSpan.Scale(mean, Math.Cos(angle) * radius), step, Math.Sin(angle) / angle * radius);
    }
}
