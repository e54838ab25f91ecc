using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>Where random masks come from.</summary>
internal interface IRandomMasks
{
    /// <summary>The mask of one tensor in one model.</summary>
    /// <param name="tensor">The output tensor's name.</param>
    /// <param name="ordinal">The model's ordinal.</param>
    /// <param name="density">Probability that an element is kept, below 1.</param>
    Mask Draw(string tensor, int ordinal, double density);
}
