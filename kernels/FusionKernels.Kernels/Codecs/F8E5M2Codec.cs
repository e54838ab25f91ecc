using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary><see cref="ElementType.F8E5M2"/>: overflow gives infinity.</summary>
public readonly struct F8E5M2Codec : ICodec
{
    private const int ExponentBits = 5, MantissaBits = 2;

    /// <inheritdoc/>
    public static int Size => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T> => NarrowFloat.Decode(bits, ExponentBits, MantissaBits);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T> => NarrowFloat.Encode(value, ExponentBits, MantissaBits);
}
