namespace FusionKernels.Safetensors;

/// <summary>A tensor of a checkpoint, with the shard that holds it.</summary>
public sealed class CheckpointTensor
{
    internal CheckpointTensor(ShardFile shard, TensorInfo info)
    {
        Shard = shard;
        Info = info;
    }

    /// <summary>The file.</summary>
    public ShardFile Shard { get; }

    /// <summary>The file's entry for it.</summary>
    public TensorInfo Info { get; }

    /// <summary>The name, unique in the checkpoint.</summary>
    public string Name => Info.Name;

    /// <summary>The element type.</summary>
    public Dtype Dtype => Info.Dtype;

    /// <summary>Elements per dimension; empty for a scalar.</summary>
    public IReadOnlyList<long> Shape => Info.Shape;

    /// <summary>The product of the shape.</summary>
    public long ElementCount => Info.ElementCount;

    /// <summary>Bytes stored.</summary>
    public long ByteLength => Info.ByteLength;

    /// <inheritdoc cref="ShardFile.Fetch"/>
    public unsafe byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        Shard.Fetch(Info, byteOffset, byteLength, scratch);

    /// <inheritdoc cref="ShardFile.Read"/>
    public void Read(long byteOffset, Span<byte> destination) => Shard.Read(Info, byteOffset, destination);
}
