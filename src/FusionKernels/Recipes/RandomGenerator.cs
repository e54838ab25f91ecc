namespace FusionKernels.Recipes;

/// <summary>Which generator the random masks of a merge come from.</summary>
public enum RandomGenerator
{
    /// <summary>Philox4x32-10: a draw depends on seed, tensor, model and element, and on nothing else.</summary>
    Philox,

    /// <summary>
    /// The Mersenne Twister in mergekit's order of execution: with the same seed, the masks that mergekit draws on a
    /// CPU.
    /// </summary>
    Torch,
}
