using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>A tensor that an adapter replaces whole, rounded to the dtype that the model stores it in.</summary>
/// <param name="original">The model's tensor.</param>
/// <param name="replacement">The adapter's, of the same shape; both floating-point data.</param>
internal sealed unsafe class ReplacedTensor(ModelTensor original, CheckpointTensor replacement) : ModelTensor
{
    private const int Window = 4096;
    private readonly ElementType _type = Elements.Of(original.Dtype)!.Value;
    private readonly ElementType _stored = Elements.Of(replacement.Dtype)!.Value;

    /// <inheritdoc/>
    public override string Name => original.Name;

    /// <inheritdoc/>
    public override string Path => replacement.Shard.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => original.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => original.Shape;

    /// <inheritdoc/>
    public override long ElementCount => original.ElementCount;

    /// <inheritdoc/>
    public override long ByteLength => original.ByteLength;

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        if (_stored == _type)
            return replacement.Fetch(byteOffset, byteLength, scratch);
        int size = _type.Size(), storedSize = _stored.Size();
        ArgumentOutOfRangeException.ThrowIfNotEqual(byteOffset % size, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(byteLength % size, 0);
        long first = byteOffset / size, length = byteLength / size;

        // SAFETY: the room holds a window of the largest type; the window's elements lie within scratch's byteLength.
        byte* room = stackalloc byte[Window * sizeof(double)];
        for (long done = 0; done < length; done += Window)
        {
            int count = (int)Math.Min(Window, length - done);
            byte* stored = replacement.Fetch((first + done) * storedSize, (nint)count * storedSize, room);
            Conversion.Round(new Operand(_stored, stored), new Operand(_type, scratch + (done * size)), count);
        }

        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch() => replacement.Shard.Source.Prefetch(
        replacement.Shard.DataOffset + replacement.Info.Begin, replacement.ByteLength);
}
