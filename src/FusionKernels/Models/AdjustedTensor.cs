using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>A tensor with noise and a factor: (x + noise * normal) * factor, in F32.</summary>
/// <param name="input">x.</param>
/// <param name="noise">Deviation of the noise.</param>
/// <param name="random">The noise's stream.</param>
/// <param name="factor">The factor.</param>
internal sealed unsafe class AdjustedTensor(ModelTensor input, float noise, Philox random, float factor) : ModelTensor
{
    private const int Window = 4096;

    /// <inheritdoc/>
    public override string Name => input.Name;

    /// <inheritdoc/>
    public override string Path => input.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => Dtype.F32;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => input.Shape;

    /// <inheritdoc/>
    public override long ElementCount => input.ElementCount;

    /// <inheritdoc/>
    public override long ByteLength => ElementCount * sizeof(float);

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => [input];

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        // A window at a time: the stored elements are widened to their place, then changed there.
        // SAFETY: the room holds a window of the largest type; the windows tile scratch's byteLength.
        var type = Elements.Of(input.Dtype)!.Value;
        byte* room = stackalloc byte[Window * sizeof(double)];
        Span<float> normals = stackalloc float[Window];
        long first = byteOffset / sizeof(float), length = byteLength / sizeof(float);
        for (long done = 0; done < length; done += Window)
        {
            int count = (int)Math.Min(Window, length - done);
            var stored = new Operand(type, input.Fetch((first + done) * type.Size(), (nint)count * type.Size(), room));
            var values = new Span<float>((float*)scratch + done, count);
            Conversion.Round(stored, new Operand(ElementType.F32, (float*)scratch + done), count);
            if (noise != 0)
                GeneratedTensor.Draw(random, first + done, normals[..count]);
            for (int i = 0; i < count; i++)
                values[i] = (values[i] + (noise == 0 ? 0 : noise * normals[i])) * factor;
        }

        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch() => input.Prefetch();
}
