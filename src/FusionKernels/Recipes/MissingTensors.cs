namespace FusionKernels.Recipes;

/// <summary>
/// What becomes of a tensor that some model lacks and others have. A tensor that the base lacks is always refused.
/// </summary>
public enum MissingTensors
{
    /// <summary>The merge is refused.</summary>
    Refuse,

    /// <summary>
    /// The model is left out of that tensor's merge; the weights are those of the remaining models. Where none remains
    /// the base's tensor is copied. Where fewer remain than the method merges, the only model's is copied or, by a
    /// method that needs a base, the tensor is left out of the output.
    /// </summary>
    Skip,

    /// <summary>The tensor of the recipe's base stands for the model's, so that its delta is zero.</summary>
    Base,
}
