namespace FusionKernels.Safetensors;

/// <summary>One tensor of a header: row-major, little endian, no strides.</summary>
/// <param name="Name">The name, unique in its file.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Shape">Elements per dimension; empty for a scalar; a 0 makes the tensor empty.</param>
/// <param name="Begin">First byte, counted from the start of the data section.</param>
/// <param name="End">One past the last byte, counted from the start of the data section.</param>
public sealed record TensorInfo(string Name, Dtype Dtype, IReadOnlyList<long> Shape, long Begin, long End)
{
    /// <summary>Bytes stored.</summary>
    public long ByteLength => End - Begin;

    /// <summary>The product of the shape; 1 for a scalar.</summary>
    public long ElementCount => TensorSize.ElementCount(Shape);
}
