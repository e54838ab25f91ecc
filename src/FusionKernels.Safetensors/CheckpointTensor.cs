namespace FusionKernels.Safetensors;

/// <summary>A tensor of a checkpoint, with the shard that holds it.</summary>
public sealed class CheckpointTensor
{
    internal CheckpointTensor(SafetensorsFile shard, TensorInfo info)
    {
        Shard = shard;
        Info = info;
    }

    /// <summary>The file.</summary>
    public SafetensorsFile Shard { get; }

    /// <summary>The entry in the file's header.</summary>
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

    /// <inheritdoc cref="SafetensorsFile.Fetch"/>
    public unsafe byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        Shard.Fetch(Info, byteOffset, byteLength, scratch);

    /// <inheritdoc cref="SafetensorsFile.Read"/>
    public void Read(long byteOffset, Span<byte> destination) => Shard.Read(Info, byteOffset, destination);
}
