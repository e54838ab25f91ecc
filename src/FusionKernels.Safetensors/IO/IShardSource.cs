namespace FusionKernels.Safetensors;

/// <summary>
/// The bytes of one open file. All members may be called from many threads at once; pointers from a map are valid
/// until the source is disposed.
/// </summary>
public unsafe interface IShardSource : IDisposable
{
    /// <summary>The full path.</summary>
    string Path { get; }

    /// <summary>Bytes in the file when it was opened.</summary>
    long Length { get; }

    /// <summary>Identity and state of the file when it was opened.</summary>
    SourceStamp Stamp { get; }

    /// <summary>True if <see cref="Fetch"/> points into a map and needs no scratch memory.</summary>
    bool IsMapped { get; }

    /// <summary>
    /// Returns <paramref name="length"/> bytes from <paramref name="offset"/>: a pointer into the map, with
    /// <paramref name="scratch"/> untouched, or <paramref name="scratch"/> after it was filled.
    /// </summary>
    /// <param name="offset">First byte, from the start of the file. No alignment is promised or needed.</param>
    /// <param name="length">Bytes; may exceed 2 GiB.</param>
    /// <param name="scratch">Room for <paramref name="length"/> bytes; may be null if <see cref="IsMapped"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the file.</exception>
    /// <exception cref="SourceChangedException">The file became shorter, or was replaced.</exception>
    byte* Fetch(long offset, nint length, byte* scratch);

    /// <summary>Copies bytes.</summary>
    /// <param name="offset">First byte, from the start of the file.</param>
    /// <param name="destination">Filled as a whole.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the file.</exception>
    /// <exception cref="SourceChangedException">The file became shorter, or was replaced.</exception>
    void Read(long offset, Span<byte> destination)
    {
        // SAFETY: the destination is pinned while Fetch may fill it; a map's range was checked by Fetch.
        fixed (byte* room = destination)
        {
            byte* bytes = Fetch(offset, destination.Length, room);
            if (bytes != room) new ReadOnlySpan<byte>(bytes, destination.Length).CopyTo(destination);
        }
    }

    /// <summary>Asks the system for the file's stamp again.</summary>
    /// <exception cref="SourceChangedException">It is not the one of <see cref="Stamp"/>.</exception>
    void CheckUnchanged();

    /// <summary>Hint: the range is needed soon.</summary>
    void Prefetch(long offset, long length);

    /// <summary>Hint: the range is not needed again; its memory may be given back.</summary>
    void Forget(long offset, long length);
}
