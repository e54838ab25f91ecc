namespace FusionKernels.Safetensors;

/// <summary>One open safetensors file: its checked header, and its bytes by map or by read.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private SafetensorsFile(IShardSource source, SafetensorsHeader header)
    {
        Source = source;
        Header = header;
    }

    /// <summary>The full path.</summary>
    public string Path => Source.Path;

    /// <summary>The tensors and where they are.</summary>
    public SafetensorsHeader Header { get; }

    /// <summary>The <c>__metadata__</c> of the file; empty if there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => Header.Metadata;

    /// <summary>The bytes of the file, its header included.</summary>
    public IShardSource Source { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="SourceUnavailableException">The file is missing, unreadable, or no regular file.</exception>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static SafetensorsFile Open(string path, SafetensorsOptions? options = null)
    {
        options ??= SafetensorsOptions.Default;
        return Open(ShardSource.Open(path, options), options);
    }

    /// <summary>Reads a file whose bytes the caller provides; the result owns the source.</summary>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static SafetensorsFile Open(IShardSource source, SafetensorsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= SafetensorsOptions.Default;
        try
        {
            return new SafetensorsFile(source, SafetensorsHeader.Read(source, options));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

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
        return Source.Fetch(Header.DataOffset + tensor.Begin + byteOffset, byteLength, scratch);
    }

    /// <summary>Copies bytes of a tensor.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="byteOffset">First byte, from the start of the tensor.</param>
    /// <param name="destination">Filled as a whole.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    /// <exception cref="SourceChangedException">The file became shorter, or was replaced.</exception>
    public unsafe void Read(TensorInfo tensor, long byteOffset, Span<byte> destination)
    {
        // SAFETY: the destination is pinned while Fetch may fill it; a map's range was checked by Fetch.
        fixed (byte* room = destination)
        {
            byte* bytes = Fetch(tensor, byteOffset, destination.Length, room);
            if (bytes != room) new ReadOnlySpan<byte>(bytes, destination.Length).CopyTo(destination);
        }
    }

    /// <summary>Closes the file; pointers into its map are invalid from here on.</summary>
    public void Dispose() => Source.Dispose();
}
