using System.Collections.Concurrent;
using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>Where a tensor's bytes go: its place in a shard, written in pieces by any thread in any order, with a checksum of the whole.</summary>
/// <param name="file">The shard.</param>
/// <param name="fileOffset">The tensor's first byte in it.</param>
/// <param name="type">What its elements are, if they are numbers; pieces hold whole ones.</param>
/// <param name="written">Told of every piece's length.</param>
internal sealed class TensorSink(IOutputFile file, long fileOffset, ElementType? type, Action<long> written)
{
    private readonly ConcurrentDictionary<long, (int Length, uint Crc)> _pieces = new();
    private long _nonFinite;

    /// <summary>How many elements that are NaN or infinite were written.</summary>
    public long NonFinite => Interlocked.Read(ref _nonFinite);

    /// <summary>Writes a piece; each byte of the tensor is written exactly once.</summary>
    /// <param name="offset">The piece's first byte within the tensor.</param>
    /// <param name="bytes">The piece.</param>
    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        file.Write(fileOffset + offset, bytes);
        _pieces[offset] = (bytes.Length, Crc32C.Of(bytes));
        if (type is { } number && Execution.NonFinite.Count(number, bytes) is > 0 and var found)
            Interlocked.Add(ref _nonFinite, found);
        written(bytes.Length);
    }

    /// <summary>Takes back what was told of written bytes, before the tensor is written anew.</summary>
    public void Withdraw() => written(-_pieces.Values.Sum(p => (long)p.Length));

    /// <summary>The checksum of all <paramref name="byteLength"/> bytes.</summary>
    /// <exception cref="InvalidOperationException">The pieces do not tile the tensor.</exception>
    public uint Checksum(long byteLength)
    {
        uint crc = 0;
        long end = 0;
        foreach (var (offset, piece) in _pieces.OrderBy(p => p.Key))
        {
            if (offset != end)
                throw new InvalidOperationException($"Bytes {end} to {offset} of a tensor were not written.");
            crc = Crc32C.Join(crc, piece.Crc, piece.Length);
            end += piece.Length;
        }

        return end == byteLength ? crc : throw new InvalidOperationException($"{end} of {byteLength} bytes of a tensor were written.");
    }
}
