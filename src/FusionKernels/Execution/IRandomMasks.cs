using FusionKernels.Kernels;
using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>Where random masks come from.</summary>
internal interface IRandomMasks
{
    /// <summary>
    /// The mask of one tensor in one model. Where the elements' probabilities differ, the stream of a random one decides
    /// about them; a mask of bits stands as it is.
    /// </summary>
    /// <param name="tensor">The output tensor.</param>
    /// <param name="model">The model, one that the method says it draws for.</param>
    /// <param name="density">Probability that an element is kept, or its mean; below 1.</param>
    Mask Draw(TensorMerge tensor, PlannedSource model, double density);
}
