using FusionKernels.Execution;
using FusionKernels.Planning;

namespace FusionKernels.Methods;

/// <summary>
/// DARE (Yu et al. 2023): drop each element of a task vector at random with probability 1 - density, rescale the rest. By default the scale
/// restores the tensor's L1 norm, as mergekit does; variant <c>paper</c> scales by 1 / density.
/// </summary>
public abstract class DareMethod : TaskVectorMethod
{
    /// <inheritdoc/>
    public sealed override IReadOnlyList<Parameter> Parameters { get; } =
    [
        Weight, Density, Normalize(false), Rescale(true), Lambda, Int8Mask,
        new("variant", ParameterScope.Global, null, "rescale by the L1 norm (mergekit) or by 1/density (paper)", Words: ["mergekit", "paper"]),
    ];

    /// <inheritdoc/>
    internal sealed override bool DrawsAtRandom(PlannedSource model) => model["density"] < 1;

    private protected sealed override bool RestoresNorms(TensorMerge tensor) => tensor.Flag("rescale") && !IsPaper(tensor);

    private protected sealed override void Sparsify(TensorMerge tensor, MergeSource[] sources)
    {
        bool divides = IsPaper(tensor) && tensor.Flag("rescale");
        for (int i = 0; i < sources.Length; i++)
        {
            if (!DrawsAtRandom(tensor.Models[i]))
                continue;
            double density = tensor.Models[i]["density"];
            sources[i] = sources[i] with { Mask = tensor.DropAtRandom(tensor.Models[i], density) };
            if (divides && density > 0)
                sources[i] = sources[i] with { Scale = (float)(1 / density) };
        }
    }

    private static bool IsPaper(TensorMerge tensor) => tensor.Word("variant") == "paper";
}
