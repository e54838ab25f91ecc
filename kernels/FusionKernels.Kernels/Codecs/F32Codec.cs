using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary><see cref="ElementType.F32"/>.</summary>
public readonly struct F32Codec : ICodec
{
    /// <inheritdoc/>
    public static int Size => 4;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T> => bits;

    // By the bits: compilers of devices take a choice between a number and NaN by value == value for the value itself.
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T> =>
        T.WhereBitsGreater(T.Abs(value), T.SplatBits(0x7F80_0000), T.SplatBits(0x7FC0_0000), value);
}
