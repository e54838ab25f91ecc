using System.Runtime.InteropServices;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>Writes the values of the elements from <paramref name="first"/> on.</summary>
internal delegate void ElementFormula(long first, Span<float> values);

/// <summary>An F32 tensor that no file holds: a formula gives each element from its index.</summary>
/// <param name="name">Its name.</param>
/// <param name="shape">Its shape.</param>
/// <param name="formula">The formula; asked from several threads.</param>
internal sealed unsafe class GeneratedTensor(
    string name, IReadOnlyList<long> shape, ElementFormula formula) : ModelTensor
{
    private static readonly CpuBackend Cpu = new();

    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override string Path => "no file";

    /// <inheritdoc/>
    public override Dtype Dtype => Dtype.F32;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => shape;

    /// <inheritdoc/>
    public override long ElementCount { get; } = Elements.Count(shape);

    /// <inheritdoc/>
    public override long ByteLength => ElementCount * sizeof(float);

    /// <summary>Zeros.</summary>
    public static GeneratedTensor Zeros(string name, IReadOnlyList<long> shape) =>
        new(name, shape, static (_, values) => values.Clear());

    /// <summary>Standard normal draws of the tensor's own stream.</summary>
    public static GeneratedTensor Normals(string name, IReadOnlyList<long> shape, ulong seed) =>
        new(name, shape, (first, values) => Draw(Philox.ForTensor(seed, name, 0), first, values));

    /// <summary>
    /// Uniform draws of the tensor's own stream, from -<paramref name="bound"/> up to <paramref name="bound"/>.
    /// </summary>
    public static GeneratedTensor Uniform(string name, IReadOnlyList<long> shape, ulong seed, float bound) =>
        new(name, shape, (first, values) =>
        {
            var words = MemoryMarshal.Cast<float, uint>(values);
            using var stream = Cpu.OpenStream();
            stream.Words(Philox.ForTensor(seed, name, 0), first, words);
            for (int i = 0; i < values.Length; i++)
                values[i] = bound * (((words[i] >> 8) * (1f / (1 << 23))) - 1);
        });

    /// <summary>Standard normal draws of a stream.</summary>
    public static void Draw(Philox random, long first, Span<float> values)
    {
        using var stream = Cpu.OpenStream();
        stream.Normals(random, first, values);
    }

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        // SAFETY: the scratch holds byteLength bytes, whole elements.
        formula(byteOffset / sizeof(float), new Span<float>(scratch, checked((int)(byteLength / sizeof(float)))));
        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch()
    {
    }
}
