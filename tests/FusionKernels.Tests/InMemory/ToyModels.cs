using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>Small seeded models: a base and experts near it.</summary>
internal static class ToyModels
{
    /// <summary>An F32 tensor.</summary>
    public static MemoryTensor F32(string name, IReadOnlyList<long> shape, ReadOnlySpan<float> values) =>
        new(name, Dtype.F32, shape, MemoryMarshal.AsBytes(values).ToArray());

    /// <summary>A BF16 tensor, values cut to their upper halves.</summary>
    public static MemoryTensor BF16(string name, IReadOnlyList<long> shape, ReadOnlySpan<float> values)
    {
        var bits = new ushort[values.Length];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16);
        return new(name, Dtype.BF16, shape, MemoryMarshal.AsBytes(bits.AsSpan()).ToArray());
    }

    /// <summary>The values of an F32 tensor.</summary>
    public static float[] Floats(this MemoryTensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.Bytes).ToArray();

    /// <summary>A base and experts m0, m1, ... of some tensors each: base + small random deltas.</summary>
    public static Dictionary<string, MemoryTensor[]> Family(int experts, params (string Name, long[] Shape)[] tensors)
    {
        var random = new Random(7);
        var values = tensors.ToDictionary(t => t.Name, t => Normals(t.Shape.Aggregate(1L, (a, b) => a * b), 0.02f));
        var models = new Dictionary<string, MemoryTensor[]> { ["base"] = tensors.Select(t => BF16(t.Name, t.Shape, values[t.Name])).ToArray() };
        for (int e = 0; e < experts; e++)
        {
            models[$"m{e}"] = tensors.Select(t =>
            {
                var delta = Normals(values[t.Name].Length, 0.002f);
                return BF16(t.Name, t.Shape, values[t.Name].Zip(delta, (v, d) => v + d).ToArray());
            }).ToArray();
        }

        return models;

        float[] Normals(long count, float deviation) => Enumerable.Range(0, (int)count).Select(_ =>
            deviation * (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))).ToArray();
    }
}
