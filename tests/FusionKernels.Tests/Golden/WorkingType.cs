namespace FusionKernels.Tests.Golden;

/// <summary>A floating-point type that arithmetic is rounded to.</summary>
/// <param name="Name">Name in manifests and safetensors, lower case.</param>
/// <param name="LongName">Name in recipes.</param>
/// <param name="Tolerance">Largest error that the golden cases support, as a fraction of the largest magnitude.</param>
/// <param name="SmallestNormal">Below this magnitude the spacing of the values stays the same.</param>
internal sealed record WorkingType(string Name, string LongName, double Tolerance, double SmallestNormal)
{
    public static WorkingType F32 { get; } = new("f32", "float32", 8.0 / (1 << 24), 1.17549435e-38);

    public static WorkingType F16 { get; } = new("f16", "float16", 6.0 / (1 << 11), 1.0 / (1 << 14));

    public static WorkingType BF16 { get; } = new("bf16", "bfloat16", 12.0 / (1 << 9), 1.17549435e-38);

    /// <summary>The type of either name, in any case.</summary>
    public static WorkingType Of(string name) => new[] { F32, F16, BF16 }.First(t =>
        t.Name.Equals(name, StringComparison.OrdinalIgnoreCase) || t.LongName == name);

    /// <summary>The nearest value of the type, ties to even.</summary>
    public float Round(float value)
    {
        if (this == F16)
            return (float)(Half)value;
        if (this == F32 || float.IsNaN(value))
            return value;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000);
    }
}
