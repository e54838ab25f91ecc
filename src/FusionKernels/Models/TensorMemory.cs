using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>The bytes of one tensor in memory, written like a file.</summary>
/// <param name="length">How many.</param>
internal sealed unsafe class TensorMemory(long length) : IOutputFile
{
    // Page alignment, as a worker's scratch memory has it.
    private const nuint Alignment = 4096;

    /// <summary>The first byte.</summary>
    public byte* Address { get; private set; } =
        (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, length), Alignment);

    /// <inheritdoc/>
    public long Length => length;

    /// <inheritdoc/>
    public int Read(long offset, Span<byte> destination)
    {
        int count = (int)Math.Min(destination.Length, length - offset);

        // SAFETY: offset + count is at most the length of the memory.
        new ReadOnlySpan<byte>(Address + offset, count).CopyTo(destination);
        return count;
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> content)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + content.Length, length);

        // SAFETY: just checked.
        content.CopyTo(new Span<byte>(Address + offset, content.Length));
    }

    /// <summary>Nothing to do.</summary>
    public void FlushToDisk()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(Address);
        Address = null;
    }
}
