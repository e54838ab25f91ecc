namespace FusionKernels.Safetensors;

/// <summary>A tensor that is to be written: everything but its bytes.</summary>
/// <param name="Name">The name, unique in the checkpoint.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Shape">Elements per dimension; empty for a scalar.</param>
public sealed record TensorSpec(string Name, Dtype Dtype, IReadOnlyList<long> Shape);
