namespace FusionKernels.Kernels;

/// <summary>
/// A storage type that kernels read and write. Arithmetic is always fp32, rounded once on the way out.
/// </summary>
public enum ElementType
{
    /// <summary>IEEE binary32.</summary>
    F32,

    /// <summary>IEEE binary16.</summary>
    F16,

    /// <summary>bfloat16: the upper half of a binary32.</summary>
    BF16,

    /// <summary>IEEE binary64, narrowed to fp32 on the way in.</summary>
    F64,

    /// <summary>OCP FP8 E4M3 (the "fn" variant: no infinity, one NaN per sign).</summary>
    F8E4M3,

    /// <summary>OCP FP8 E5M2.</summary>
    F8E5M2,
}

/// <summary>Facts about storage types.</summary>
public static class ElementTypeExtensions
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.F64 => 8,
        ElementType.F32 => 4,
        ElementType.F16 or ElementType.BF16 => 2,
        ElementType.F8E4M3 or ElementType.F8E5M2 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };
}
