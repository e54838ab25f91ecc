using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>Masks of the counter-based generator: they depend on seed, tensor and element, and on nothing else.</summary>
/// <param name="Seed">The merge's seed.</param>
internal sealed record PhiloxMasks(ulong Seed) : IRandomMasks
{
    /// <inheritdoc/>
    public Mask Draw(string tensor, int ordinal, double density) =>
        Mask.Dropping(Philox.ForTensor(Seed, tensor, ordinal), 1 - Math.Max(0, density));
}
