namespace FusionKernels.Safetensors;

/// <summary>A tensor of a layout and its place.</summary>
/// <param name="Name">The name.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Shape">Elements per dimension.</param>
/// <param name="Shard">Index into <see cref="OutputLayout.Shards"/>.</param>
/// <param name="Offset">First byte, from the start of the shard's file.</param>
/// <param name="ByteLength">Bytes.</param>
public sealed record PlacedTensor(
    string Name, Dtype Dtype, IReadOnlyList<long> Shape, int Shard, long Offset, long ByteLength);
