using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Planning;
using FusionKernels.Recipes;

namespace FusionKernels.Methods;

/// <summary>
/// DELLA (Deep et al. 2024): drop elements of a task vector at random, the smaller ones within a row more often. Within a row (axis 1; a
/// vector is one row) the probability to be kept runs from density - epsilon for the smallest magnitude to density + epsilon for the
/// largest, linearly in the rank. The rest is scaled to the tensor's L1 norm, as in mergekit; the paper divides by the probabilities.
/// Ranks are those of fp32 magnitudes, of equal ones the lower index ranks lower.
/// </summary>
public abstract class DellaMethod : TaskVectorMethod
{
    private const string Epsilon = "epsilon";

    /// <summary>The parameters; the two methods differ in whether <c>normalize</c> is on.</summary>
    private protected static IReadOnlyList<Parameter> ParametersOf(bool normalizes) =>
    [
        Weight, Density,
        new(Epsilon, ParameterScope.PerModel, 0.15, "how far the probability to be kept is from density at a row's smallest and largest element"),
        Normalize(normalizes), Rescale(true), Lambda, Int8Mask,
    ];

    /// <inheritdoc/>
    internal sealed override bool DrawsAtRandom(PlannedSource model) => model["density"] is > 0 and < 1;

    /// <inheritdoc/>
    internal sealed override string? Objection(Recipe recipe, PlannedSource model)
    {
        if (!DrawsAtRandom(model))
            return null;
        if (recipe.Rng == RandomGenerator.Torch)
            return "'rng: torch' draws all elements of a mask with one probability, as dare_linear and dare_ties need it";
        double density = model["density"], epsilon = Math.Abs(model[Epsilon]);
        return density - epsilon > 0 && density + epsilon < 1 ? null
            : $"'density' - '{Epsilon}' must be above 0 and 'density' + '{Epsilon}' below 1, not {density:R} and {model[Epsilon]:R}";
    }

    private protected sealed override void Sparsify(TensorMerge tensor, MergeSource[] sources)
    {
        var draws = new (double Density, double Epsilon)?[sources.Length];
        for (int i = 0; i < sources.Length; i++)
        {
            var model = tensor.Models[i];
            if (DrawsAtRandom(model))
                draws[i] = (model["density"], model[Epsilon]);
            else if (model["density"] < 1)
                sources[i] = sources[i] with { Mask = Mask.None };
        }

        tensor.DropByRank(sources, draws, withNorms: RestoresNorms(tensor));
    }
}
