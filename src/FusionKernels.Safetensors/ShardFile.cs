namespace FusionKernels.Safetensors;

/// <summary>One open file of a checkpoint: what it holds, and its bytes by map or by read.</summary>
public abstract class ShardFile : IDisposable
{
    private protected ShardFile(IShardSource source) => Source = source;

    /// <summary>The full path.</summary>
    public string Path => Source.Path;

    /// <summary>The bytes of the file, all of them.</summary>
    public IShardSource Source { get; }

    /// <summary>All tensors, in the order of their bytes in the file.</summary>
    public abstract IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>The file's remarks about itself, by key; empty if there are none.</summary>
    public abstract IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Where <see cref="TensorInfo.Begin"/> and <see cref="TensorInfo.End"/> count from. Any number.</summary>
    public abstract long DataOffset { get; }

    /// <summary>The bytes that say which tensors there are: equal bytes mean equal <see cref="Tensors"/>.</summary>
    public abstract (long Begin, long End) HeaderRange { get; }

    /// <summary>
    /// Returns bytes of a tensor: a pointer into the map, valid until this file is disposed, or
    /// <paramref name="scratch"/> after it was filled.
    /// </summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="byteOffset">First byte, from the start of the tensor. No alignment is promised.</param>
    /// <param name="byteLength">Bytes; may exceed 2 GiB.</param>
    /// <param name="scratch">Room for the bytes; may be null if the source is mapped.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    /// <exception cref="SourceChangedException">The file became shorter, or was replaced.</exception>
    public unsafe byte* Fetch(TensorInfo tensor, long byteOffset, nint byteLength, byte* scratch)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        SourceChecks.ThrowIfOutside(byteOffset, byteLength, tensor.ByteLength);
        return Source.Fetch(DataOffset + tensor.Begin + byteOffset, byteLength, scratch);
    }

    /// <summary>Copies bytes of a tensor.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="byteOffset">First byte, from the start of the tensor.</param>
    /// <param name="destination">Filled as a whole.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    /// <exception cref="SourceChangedException">The file became shorter, or was replaced.</exception>
    public void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        SourceChecks.ThrowIfOutside(byteOffset, destination.Length, tensor.ByteLength);
        Source.Read(DataOffset + tensor.Begin + byteOffset, destination);
    }

    /// <summary>Closes the file; pointers into its map are invalid from here on.</summary>
    public void Dispose()
    {
        Source.Dispose();
        GC.SuppressFinalize(this);
    }
}
