using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>
/// A tensor with a low-rank update: w + s * l r, rounded to the dtype of w, as if the adapter had been folded into the
/// stored model. Made chunk by chunk, where it is asked for.
/// </summary>
/// <param name="weight">w.</param>
/// <param name="factors">The update.</param>
/// <param name="cache">Keeps the factors between chunks.</param>
internal sealed unsafe class LoraTensor(ModelTensor weight, LoraFactors factors, LoraCache cache) : ModelTensor
{
    private readonly ElementType _type = Elements.Of(weight.Dtype)!.Value;

    /// <inheritdoc/>
    public override string Name => weight.Name;

    /// <inheritdoc/>
    public override string Path => weight.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => weight.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => weight.Shape;

    /// <inheritdoc/>
    public override long ElementCount => weight.ElementCount;

    /// <inheritdoc/>
    public override long ByteLength => weight.ByteLength;

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => [weight];

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        int size = _type.Size();
        ArgumentOutOfRangeException.ThrowIfNotEqual(byteOffset % size, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(byteLength % size, 0);
        var stored = new Operand(_type, weight.Fetch(byteOffset, byteLength, scratch));

        // SAFETY: both hold byteLength bytes; where they are the same, the update writes each element after reading it.
        int length = checked((int)(byteLength / size));
        cache.Get(factors, weight).Apply(stored, byteOffset / size, length, new Operand(_type, scratch));
        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch() => weight.Prefetch();
}
