using FusionKernels.Kernels;
using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>Masks of the counter-based generator: they depend on seed, tensor and element, and on nothing else.</summary>
/// <param name="Seed">The merge's seed.</param>
internal sealed record PhiloxMasks(ulong Seed) : IRandomMasks
{
    /// <inheritdoc/>
    public Mask Draw(TensorMerge tensor, PlannedSource model, double density) =>
        Mask.Dropping(Philox.ForTensor(Seed, tensor.Name, model.Ordinal), 1 - Math.Max(0, density));
}
