using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>A safetensors file that exists only in memory.</summary>
internal sealed unsafe class MemorySource : IShardSource
{
    private readonly byte* _bytes;

    public MemorySource(string path, ReadOnlySpan<byte> content)
    {
        Path = path;
        Length = content.Length;
        _bytes = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, content.Length));
        content.CopyTo(new Span<byte>(_bytes, content.Length));
    }

    public string Path { get; }

    public long Length { get; }

    public SourceStamp Stamp => new(0, 0, Length, 0, 0);

    public bool IsMapped => true;

    public byte* Fetch(long offset, nint length, byte* scratch)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, Length);
        return _bytes + offset;
    }

    public void CheckUnchanged()
    {
    }

    public void Prefetch(long offset, long length)
    {
    }

    public void Forget(long offset, long length)
    {
    }

    public void Dispose() => NativeMemory.Free(_bytes);
}
