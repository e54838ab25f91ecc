using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary><see cref="ElementType.F16"/>: overflow gives infinity.</summary>
public readonly struct F16Codec : ICodec
{
    private const int ExponentBits = 5, MantissaBits = 10;

    /// <inheritdoc/>
    public static int Size => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T> => NarrowFloat.Decode(bits, ExponentBits, MantissaBits);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T> => NarrowFloat.Encode(value, ExponentBits, MantissaBits);
}
