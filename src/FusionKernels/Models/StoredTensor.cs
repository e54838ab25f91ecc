using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>A tensor as a checkpoint stores it.</summary>
/// <param name="stored">Where it is.</param>
internal sealed unsafe class StoredTensor(CheckpointTensor stored) : ModelTensor
{
    /// <inheritdoc/>
    public override string Name => stored.Name;

    /// <inheritdoc/>
    public override string Path => stored.Shard.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => stored.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => stored.Shape;

    /// <inheritdoc/>
    public override long ElementCount => stored.ElementCount;

    /// <inheritdoc/>
    public override long ByteLength => stored.ByteLength;

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch) => stored.Fetch(byteOffset, byteLength, scratch);

    /// <inheritdoc/>
    public override void Prefetch() =>
        stored.Shard.Source.Prefetch(stored.Shard.DataOffset + stored.Info.Begin, stored.ByteLength);
}
