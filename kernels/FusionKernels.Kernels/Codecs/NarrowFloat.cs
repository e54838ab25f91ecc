using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// What the binary formats with fewer exponent bits than fp32 share: a sign, E exponent bits with bias 2^(E-1) - 1, M
/// mantissa bits, denormals. No step has a denormal fp32 result, which some processors compute slowly and some flush to
/// zero. All parameters are constants and fold.
/// </summary>
internal static class NarrowFloat
{
    /// <summary>To fp32 from a format whose largest exponent means infinity and NaN, as IEEE 754 has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T>
    {
        uint rebias = (128 - (1u << (exponentBits - 1))) << 23;
        uint largestFinite = (((1u << exponentBits) - 1) << mantissaBits) - 1;
        T magnitude = bits & T.SplatBits((1u << (exponentBits + mantissaBits)) - 1);
        T finite = DecodeMagnitude(magnitude, exponentBits, mantissaBits);
        T special = T.AddBits(finite, T.SplatBits(rebias));
        return T.WhereBitsGreater(magnitude, T.SplatBits(largestFinite), special, finite)
            | DecodeSign(bits, exponentBits, mantissaBits);
    }

    /// <summary>From fp32 to such a format; overflow gives infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T>
    {
        uint limit = (127 + (1u << (exponentBits - 1))) << 23;
        uint infinity = ((1u << exponentBits) - 1) << mantissaBits, nan = infinity + (1u << (mantissaBits - 1));
        T magnitude = T.Abs(value);
        T finite = EncodeMagnitude(magnitude, exponentBits, mantissaBits);
        T code = T.WhereGreater(T.SplatBits(limit), magnitude, finite, T.SplatBits(infinity))
            | EncodeSign(value, exponentBits, mantissaBits);
        return T.WhereEqual(value, value, code, T.SplatBits(nan));
    }

    /// <summary>
    /// Stored bits without a sign to fp32, exact, every exponent taken as finite. The bits are moved to fp32's places
    /// and the exponent is rebiased. A denormal has no leading one: it is read with exponent 1 as if it had, and
    /// 2^(1 - bias) is subtracted.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T DecodeMagnitude<T>(T bits, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T>
    {
        uint rebias = (128 - (1u << (exponentBits - 1))) << 23, one = 1u << 23;
        T magnitude = bits << (23 - mantissaBits);
        T normal = T.AddBits(magnitude, T.SplatBits(rebias));
        T denormal = T.AddBits(normal, T.SplatBits(one)) - T.SplatBits(rebias + one);
        return T.WhereBitsGreater(T.SplatBits(one), magnitude, denormal, normal);
    }

    /// <summary>The sign bit of stored elements, at fp32's place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T DecodeSign<T>(T bits, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T>
    {
        int place = exponentBits + mantissaBits;
        return (bits & T.SplatBits(1u << place)) << (31 - place);
    }

    /// <summary>
    /// Magnitudes below 2^(bias + 1) to stored bits without a sign, rounded to nearest even. Normal results round as
    /// in <see cref="BF16Codec.Encode"/>, and may carry into the code after the largest exponent's last. For denormal
    /// results the adder rounds: with a constant added whose last place is the smallest denormal, the low bits are the
    /// result.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T EncodeMagnitude<T>(T magnitude, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T>
    {
        uint rebias = (128 - (1u << (exponentBits - 1))) << 23, one = 1u << 23;
        int shift = 23 - mantissaBits;
        T odd = (magnitude >>> shift) & T.SplatBits(1);
        T normal = T.AddBits(T.AddBits(magnitude, T.SplatBits((1u << (shift - 1)) - 1 - rebias)), odd) >>> shift;
        uint aligner = rebias + ((uint)(shift + 1) << 23);
        T denormal = T.AddBits(magnitude + T.SplatBits(aligner), T.SplatBits(0 - aligner));
        return T.WhereGreater(T.SplatBits(rebias + one), magnitude, denormal, normal);
    }

    /// <summary>The sign bit of fp32 values, at its stored place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T EncodeSign<T>(T value, int exponentBits, int mantissaBits)
        where T : struct, ILanes<T> => (value >>> 31) << (exponentBits + mantissaBits);
}
