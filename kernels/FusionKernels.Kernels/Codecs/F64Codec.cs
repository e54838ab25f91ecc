using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// <see cref="ElementType.F64"/>. The lanes round to fp32 as they load and widen as they store, so only NaN is left to
/// do: the canonical fp32 NaN widens to the canonical fp64 one.
/// </summary>
public readonly struct F64Codec : ICodec
{
    /// <inheritdoc/>
    public static int Size => 8;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T> => bits;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T> => F32Codec.Encode(value);
}
