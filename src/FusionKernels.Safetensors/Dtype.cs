namespace FusionKernels.Safetensors;

/// <summary>
/// The 22 element types of the safetensors wire format. The order is the one of the reference implementation, which
/// is also the rank a writer sorts by (highest rank first).
/// </summary>
public enum Dtype : byte
{
    /// <summary>One byte, 0 or 1 (<c>BOOL</c>).</summary>
    Bool,

    /// <summary>4-bit float e2m1 (<c>F4</c>), two elements a byte.</summary>
    F4,

    /// <summary>6-bit float e2m3 (<c>F6_E2M3</c>), four elements in three bytes.</summary>
    F6E2M3,

    /// <summary>6-bit float e3m2 (<c>F6_E3M2</c>), four elements in three bytes.</summary>
    F6E3M2,

    /// <summary>Unsigned 8-bit integer (<c>U8</c>).</summary>
    U8,

    /// <summary>Signed 8-bit integer (<c>I8</c>).</summary>
    I8,

    /// <summary>8-bit float e5m2, with infinities (<c>F8_E5M2</c>).</summary>
    F8E5M2,

    /// <summary>8-bit float e4m3fn of the OCP standard: no infinities, one NaN (<c>F8_E4M3</c>).</summary>
    F8E4M3,

    /// <summary>8-bit power-of-two scale (<c>F8_E8M0</c>).</summary>
    F8E8M0,

    /// <summary>8-bit float e4m3 without negative zero (<c>F8_E4M3FNUZ</c>).</summary>
    F8E4M3Fnuz,

    /// <summary>8-bit float e5m2 without negative zero (<c>F8_E5M2FNUZ</c>).</summary>
    F8E5M2Fnuz,

    /// <summary>Signed 16-bit integer (<c>I16</c>).</summary>
    I16,

    /// <summary>Unsigned 16-bit integer (<c>U16</c>).</summary>
    U16,

    /// <summary>IEEE binary16 (<c>F16</c>).</summary>
    F16,

    /// <summary>The upper half of an IEEE binary32 (<c>BF16</c>).</summary>
    BF16,

    /// <summary>Signed 32-bit integer (<c>I32</c>).</summary>
    I32,

    /// <summary>Unsigned 32-bit integer (<c>U32</c>).</summary>
    U32,

    /// <summary>IEEE binary32 (<c>F32</c>).</summary>
    F32,

    /// <summary>Two binary32: real, imaginary (<c>C64</c>).</summary>
    C64,

    /// <summary>IEEE binary64 (<c>F64</c>).</summary>
    F64,

    /// <summary>Signed 64-bit integer (<c>I64</c>).</summary>
    I64,

    /// <summary>Unsigned 64-bit integer (<c>U64</c>).</summary>
    U64,
}
