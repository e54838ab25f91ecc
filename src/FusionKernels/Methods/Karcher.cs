using FusionKernels.Execution;

namespace FusionKernels.Methods;

/// <summary>
/// The Riemannian centre of mass (Karcher mean) of the models' directions on the unit sphere, equally weighted, times their mean length. It is
/// iterated in the span of the models: each step averages the logarithms of the directions at the current estimate and follows the result along the sphere.
/// </summary>
public sealed class Karcher : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "karcher";

    /// <inheritdoc/>
    public override string Summary => "Karcher mean of the models' directions; weights are ignored, a base is one more model";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.AsModel;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("max_iter", ParameterScope.Global, 10, "most steps", Least: 0),
        new("tol", ParameterScope.Global, 1e-5, "lengths and angles below it count as none"),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        if (sources.Length == 1)
            tensor.Copy(sources[0].Input);
        else
            tensor.CombineSpan(sources, Coefficients(new VectorSpan(tensor.Gram(sources, deltas: false), sources.Length), tensor.Number("tol"), (int)tensor.Number("max_iter")));
    }

    private static double[] Coefficients(VectorSpan span, double tolerance, int steps)
    {
        double[] norms = span.Norms;
        double[][] units = norms.Select((n, i) => (n, i)).Where(v => !(v.n <= tolerance)).Select(v => span.Vector(v.i, 1 / v.n)).ToArray();
        if (units.Length == 0)
            return new double[span.Count];
        double share = 1.0 / units.Length;
        double[] mean = VectorSpan.Sum(units, Enumerable.Repeat(share, units.Length).ToArray());
        double length = span.Norm(mean);
        mean = length < tolerance ? units[0] : VectorSpan.Scale(mean, 1 / length);
        for (int step = 0; step < steps; step++)
        {
            var tangent = new double[span.Count];
            foreach (double[] unit in units)
            {
                double cosine = Math.Clamp(span.Dot(mean, unit), -1, 1), angle = Math.Acos(cosine);
                if (angle < tolerance)
                    continue;
                tangent = VectorSpan.Add(tangent, VectorSpan.Add(unit, mean, -cosine), share * angle / Math.Sin(angle));
            }

            double size = span.Norm(tangent);
            if (size < tolerance)
                break;
            mean = VectorSpan.Add(VectorSpan.Scale(mean, Math.Cos(size)), tangent, Math.Sin(size) / size);
            length = span.Norm(mean);
            if (length > tolerance)
                mean = VectorSpan.Scale(mean, 1 / length);
        }

        return VectorSpan.Scale(mean, norms.Average());
    }
}
