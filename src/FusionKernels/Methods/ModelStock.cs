using FusionKernels.Execution;

namespace FusionKernels.Methods;

/// <summary>
/// Model Stock (Jang et al. 2024): y = t mean(w_i) + (1-t) w_0 with t = K c / (1 + (K-1) c), c the mean cosine between the K
/// models' deltas, per tensor or per row (<c>filter_wise</c>; a row runs along the last axis). t is not clamped.
/// </summary>
public sealed class ModelStock : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "model_stock";

    /// <inheritdoc/>
    public override string Summary => "average pulled towards the base by the angle between deltas (Jang et al. 2024)";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override int MinModels => 2;

    /// <inheritdoc/>
    public override DtypeRule OutputDtype => DtypeRule.Promoted;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("filter_wise", ParameterScope.Global, 0, "one t per row instead of one per tensor"),
    ];

    // Below it, t is a rounding error's inverse.
    private const double SmallestDivisor = 1e-6;

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        // t mean(w_i) + (1-t) w_0 = w_0 + sum_i (t/K) delta_i
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        if (tensor.Flag("filter_wise") && tensor.Shape.Count > 1)
            tensor.CombineRows(sources, tensor.GramRows(sources).Select(gram => Coefficients(tensor, gram, sources.Length)).ToArray());
        else
            tensor.CombineSpan(sources, Coefficients(tensor, tensor.Gram(sources, deltas: true), sources.Length));
    }

    private static double[] Coefficients(TensorMerge tensor, double[] gram, int models)
    {
        var span = new VectorSpan(gram, models);
        double[] norms = span.Norms;
        double cosines = 0;
        for (int i = 0; i < models; i++)
        {
            for (int j = i + 1; j < models; j++)
                cosines += Math.Clamp(span[i, j] / Math.Max(norms[i] * norms[j], 1e-6), -1, 1);
        }

        double c = cosines / (models * (models - 1) / 2);
        double divisor = 1 + ((models - 1) * c);
        if (Math.Abs(divisor) < SmallestDivisor)
        {
            throw new MergeException(
                MergeError.Models, $"{tensor.Name}: the models' changes cancel out (mean cosine {c:0.######}), for which model_stock has no weight");
        }

        double t = models * c / divisor;
        return Enumerable.Repeat(t / models, models).ToArray();
    }
}
