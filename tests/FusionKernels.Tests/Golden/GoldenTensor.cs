using System.Runtime.InteropServices;

namespace FusionKernels.Tests.Golden;

/// <summary>A tensor of a golden file.</summary>
/// <param name="Dtype">Element type as safetensors spells it.</param>
/// <param name="Shape">Extents.</param>
/// <param name="Bytes">Elements in C order.</param>
internal sealed record GoldenTensor(string Dtype, IReadOnlyList<long> Shape, byte[] Bytes)
{
    private double[]? _values;

    /// <summary>The elements as doubles.</summary>
    public double[] Values => _values ??= Dtype switch
    {
        "F64" => Cast<double>(x => x),
        "F32" => Cast<float>(x => x),
        "F16" => Cast<Half>(x => (double)x),
        "BF16" => Cast<ushort>(x => BitConverter.UInt32BitsToSingle((uint)x << 16)),
        "I64" => Cast<long>(x => x),
        "U32" => Cast<uint>(x => x),
        "U8" or "BOOL" => Cast<byte>(x => x),
        _ => throw new NotSupportedException($"golden files of {Dtype}"),
    };

    /// <summary>The elements as floats.</summary>
    public float[] Floats => Array.ConvertAll(Values, x => (float)x);

    /// <summary>An F32 tensor.</summary>
    public static GoldenTensor F32(IReadOnlyList<long> shape, IEnumerable<float> values) =>
        new("F32", shape, MemoryMarshal.AsBytes<float>(values.ToArray()).ToArray());

    private double[] Cast<T>(Func<T, double> widen)
        where T : struct => MemoryMarshal.Cast<byte, T>(Bytes).ToArray().Select(widen).ToArray();
}
