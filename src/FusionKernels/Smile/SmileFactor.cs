using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Smile;

/// <summary>An F32 tensor of an upscaled layer that its factors hold: the gate, or one side of an expert.</summary>
/// <param name="layer">The layer.</param>
/// <param name="name">The tensor's name.</param>
/// <param name="shape">Its shape.</param>
/// <param name="matrix">Where it is among the layer's factors.</param>
internal sealed unsafe class SmileFactor(
    SmileLayer layer, string name, IReadOnlyList<long> shape, Func<SmileFactors, DenseMatrix<float>> matrix)
    : ModelTensor
{
    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override string Path => layer.Base.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => Dtype.F32;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => shape;

    /// <inheritdoc/>
    public override long ElementCount { get; } = Elements.Count(shape);

    /// <inheritdoc/>
    public override long ByteLength => ElementCount * sizeof(float);

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => layer.Inputs;

    /// <inheritdoc/>
    public override IEnumerable<IHeld> Held => [layer];

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        (byte*)matrix(layer.Factors).View.Data.Address + byteOffset;

    /// <inheritdoc/>
    public override void Prefetch()
    {
        foreach (ModelTensor input in layer.Inputs)
            input.Prefetch();
    }
}
