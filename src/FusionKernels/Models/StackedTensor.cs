using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// Tensors one after the other along their first axis (or along a new one), as if they lay so in a file. Parts of
/// another dtype are widened while they are read.
/// </summary>
/// <param name="name">The name of the whole.</param>
/// <param name="shape">Its shape; the parts' elements in order.</param>
/// <param name="parts">The parts; floating-point data.</param>
internal sealed unsafe class StackedTensor(
    string name, IReadOnlyList<long> shape, IReadOnlyList<ModelTensor> parts) : ModelTensor
{
    private const int Window = 4096;
    private readonly ElementType _type = Elements.Of(parts.Select(p => p.Dtype).Aggregate(Elements.Promote))!.Value;

    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override string Path => parts[0].Path;

    /// <inheritdoc/>
    public override Dtype Dtype { get; } = parts.Select(p => p.Dtype).Aggregate(Elements.Promote);

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => shape;

    /// <inheritdoc/>
    public override long ElementCount { get; } = Elements.Count(shape);

    /// <inheritdoc/>
    public override long ByteLength => ElementCount * _type.Size();

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => parts;

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        // A range covers the end of a part, whole parts, and the beginning of one. Where it lies within one part of the
        // same dtype, the part's own bytes will do.
        int size = _type.Size();
        long first = byteOffset / size, end = (byteOffset + byteLength) / size, start = 0;
        foreach (var part in parts)
        {
            long from = Math.Max(first, start), to = Math.Min(end, start + part.ElementCount);
            if (from < to)
            {
                byte* into = scratch + ((from - first) * size);
                byte* bytes = Fetch(part, from - start, to - from, into);
                if (from == first && to == end)
                    return bytes;
                if (bytes != into)
                    Buffer.MemoryCopy(bytes, into, (to - from) * size, (to - from) * size);
            }

            start += part.ElementCount;
        }

        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch()
    {
        foreach (var part in parts)
            part.Prefetch();
    }

    // SAFETY: `into` holds `count` elements of the whole's type, the room a window of the widest.
    private byte* Fetch(ModelTensor part, long first, long count, byte* into)
    {
        var stored = Elements.Of(part.Dtype)!.Value;
        if (stored == _type)
            return part.Fetch(first * stored.Size(), (nint)count * stored.Size(), into);
        byte* room = stackalloc byte[Window * sizeof(double)];
        for (long done = 0; done < count; done += Window)
        {
            int length = (int)Math.Min(Window, count - done);
            byte* bytes = part.Fetch((first + done) * stored.Size(), (nint)length * stored.Size(), room);
            Conversion.Round(new Operand(stored, bytes), new Operand(_type, into + (done * _type.Size())), length);
        }

        return into;
    }
}
