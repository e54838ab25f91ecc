namespace FusionKernels.Safetensors;

/// <summary>A file of an output store, open for positional access from many threads at once.</summary>
public interface IOutputFile : IDisposable
{
    /// <summary>Bytes.</summary>
    long Length { get; }

    /// <summary>Fills the destination from an offset; fewer bytes only at the end of the file.</summary>
    /// <returns>Bytes read.</returns>
    int Read(long offset, Span<byte> destination);

    /// <summary>Writes all bytes at an offset.</summary>
    /// <exception cref="IOException">The device failed or is full.</exception>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Returns when everything written is on the device.</summary>
    /// <exception cref="IOException">Some of it is not, and may never be.</exception>
    void FlushToDisk();
}
