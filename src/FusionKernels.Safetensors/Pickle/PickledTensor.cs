namespace FusionKernels.Safetensors;

/// <summary>A tensor as a pickle describes it; nothing about it is checked yet.</summary>
/// <param name="Storage">The memory that it is a view of.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Offset">First element within the storage.</param>
/// <param name="Shape">Elements per dimension.</param>
/// <param name="Strides">Elements from one index to the next, per dimension.</param>
internal sealed record PickledTensor(PickledStorage Storage, Dtype Dtype, long Offset, long[] Shape, long[] Strides);

/// <summary>Memory that tensors are views of.</summary>
/// <param name="Dtype">The element type, or null for plain bytes.</param>
/// <param name="Key">Name of the archive's entry below <c>data/</c>.</param>
/// <param name="Count">Elements, or bytes without a type.</param>
internal sealed record PickledStorage(Dtype? Dtype, string Key, long Count);
