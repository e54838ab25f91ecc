using FusionKernels.Execution;
using FusionKernels.Kernels;

namespace FusionKernels.Methods;

/// <summary>
/// Spherical interpolation of two whole tensors (Shoemake 1985): y = sin((1-t) th)/sin(th) v0 + sin(t th)/sin(th) v1, v0 the base,
/// th the angle between them; a straight line where they are nearly parallel or antiparallel (|cos th| &gt; 0.9995). t is not clamped.
/// </summary>
public sealed class Slerp : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "slerp";

    /// <inheritdoc/>
    public override string Summary => "spherical interpolation between the base and one model";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override int MaxModels => 1;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("t", ParameterScope.Global, null, "0 is the base, 1 the other model", Required: true),
    ];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        MergeSource[] sources = [new(tensor.Base!), new(tensor.Models[0].Input)];
        double t = tensor.Number("t");
        double[] gram = tensor.Gram(sources, deltas: false);
        double norm0 = Math.Sqrt(gram[0]), norm1 = Math.Sqrt(gram[2]);

        // A vector shorter than 1e-8 is not normalised, so its cosine is about 0 and the angle about 90 degrees.
        double cosine = gram[1] / ((norm0 > 1e-8 ? norm0 : 1) * (norm1 > 1e-8 ? norm1 : 1));
        double weight0 = 1 - t, weight1 = t;
        if (!(Math.Abs(cosine) > 0.9995))
        {
            double theta = Math.Acos(Math.Clamp(cosine, -1, 1));
            weight0 = Math.Sin(theta - (t * theta)) / Math.Sin(theta);
            weight1 = Math.Sin(t * theta) / Math.Sin(theta);
        }

        sources[0] = sources[0] with { Weight = (float)weight0 };
        sources[1] = sources[1] with { Weight = (float)weight1 };
        tensor.Combine(new WeightedSum(1), sources);
    }
}
