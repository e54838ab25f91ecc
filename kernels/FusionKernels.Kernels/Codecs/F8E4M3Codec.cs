using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// <see cref="ElementType.F8E4M3"/>: no infinity, the largest code is NaN. Magnitudes above 464, the border at which
/// rounding would go past the largest finite value 448, and infinities become NaN, as in PyTorch.
/// </summary>
public readonly struct F8E4M3Codec : ICodec
{
    private const int ExponentBits = 4, MantissaBits = 3;
    private const uint Nan = 0x7F;

    /// <inheritdoc/>
    public static int Size => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T>
    {
        T magnitude = bits & T.SplatBits(0x7F);
        T finite = NarrowFloat.DecodeMagnitude(magnitude, ExponentBits, MantissaBits)
            | NarrowFloat.DecodeSign(bits, ExponentBits, MantissaBits);
        return T.WhereBitsGreater(magnitude, T.SplatBits(Nan - 1), T.SplatBits(0x7FC0_0000), finite);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T>
    {
        T magnitude = T.Abs(value);
        T code = NarrowFloat.EncodeMagnitude(magnitude, ExponentBits, MantissaBits)
            | NarrowFloat.EncodeSign(value, ExponentBits, MantissaBits);
        return T.WhereGreaterOrEqual(T.Splat(464), magnitude, code, T.SplatBits(Nan));
    }
}
