using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>A tensor that a merge copies: another one's bytes, or its leading rows, under a name of its own.</summary>
/// <param name="input">The other tensor.</param>
/// <param name="place">Name and shape; the dtype is the input's.</param>
internal sealed unsafe class CopiedTensor(ModelTensor input, PlacedTensor place) : ModelTensor
{
    /// <inheritdoc/>
    public override string Name => place.Name;

    /// <inheritdoc/>
    public override string Path => input.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => place.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => place.Shape;

    /// <inheritdoc/>
    public override long ElementCount { get; } = Elements.Count(place.Shape);

    /// <inheritdoc/>
    public override long ByteLength => place.ByteLength;

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => [input];

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        input.Fetch(byteOffset, byteLength, scratch);

    /// <inheritdoc/>
    public override void Prefetch() => input.Prefetch();
}
