namespace FusionKernels.Recipes;

/// <summary>
/// What becomes of a tensor that some model lacks and others have. One that the base lacks can only be dropped.
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

    /// <summary>The tensor is left out of the output, which so has the tensors that all models have.</summary>
    Drop,
}
