using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary><see cref="ElementType.BF16"/>: the upper half of a binary32.</summary>
public readonly struct BF16Codec : ICodec
{
    /// <inheritdoc/>
    public static int Size => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Decode<T>(T bits)
        where T : struct, ILanes<T> => bits << 16;

    /// <summary>
    /// Adds just under half a unit of the last place kept, or exactly half where that place is odd, and truncates: ties
    /// go to even. A carry runs into the exponent, past the largest finite value into infinity.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Encode<T>(T value)
        where T : struct, ILanes<T>
    {
        T odd = (value >>> 16) & T.SplatBits(1);
        T rounded = T.AddBits(T.AddBits(value, T.SplatBits(0x7FFF)), odd) >>> 16;
        return T.WhereEqual(value, value, rounded, T.SplatBits(0x7FC0));
    }
}
