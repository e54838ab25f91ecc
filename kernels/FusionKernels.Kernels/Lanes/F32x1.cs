using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>One lane: plain scalar code.</summary>
/// <param name="value">The lane.</param>
public readonly unsafe struct F32x1(float value) : ICpuLanes<F32x1>
{
    /// <summary>The lane.</summary>
    public readonly float Value = value;

    /// <inheritdoc/>
    public static int Count => 1;

    /// <summary>The lane's bits.</summary>
    public uint Bits
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => BitConverter.SingleToUInt32Bits(Value);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 Splat(float value) => new(value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 SplatBits(uint bits) => new(BitConverter.UInt32BitsToSingle(bits));

    // .NET 10's compiler merges a 1- or 2-byte load with the reinterpretation as fp32 into one load of 4 bytes, which
    // reads beyond the element, at worst beyond the mapped memory. The shift and the rotation, which undo each other,
    // keep the two apart.
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 Load(byte* source, int size) => size switch
    {
        1 => SplatBits(BitOperations.RotateRight((uint)*source << 16, 16)),
        2 => SplatBits(BitOperations.RotateRight((uint)*(ushort*)source << 16, 16)),
        4 => SplatBits(*(uint*)source),
        _ => new((float)*(double*)source),
    };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F32x1 value, byte* destination, int size)
    {
        switch (size)
        {
            case 1:
                *destination = (byte)value.Bits;
                break;
            case 2:
                *(ushort*)destination = (ushort)value.Bits;
                break;
            case 4:
                *(uint*)destination = value.Bits;
                break;
            default:
                *(double*)destination = value.Value;
                break;
        }
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 MaskFactor(byte* bits, nint index) => new((bits[index >> 3] >> (int)(index & 7)) & 1);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator +(F32x1 left, F32x1 right) => new(left.Value + right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator -(F32x1 left, F32x1 right) => new(left.Value - right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator *(F32x1 left, F32x1 right) => new(left.Value * right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator /(F32x1 left, F32x1 right) => new(left.Value / right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(F32x1 value) => value.Value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 Abs(F32x1 value) => SplatBits(value.Bits & 0x7FFF_FFFF);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 WhereGreater(F32x1 a, F32x1 b, F32x1 yes, F32x1 no) => a.Value > b.Value ? yes : no;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 WhereGreaterOrEqual(F32x1 a, F32x1 b, F32x1 yes, F32x1 no) => a.Value >= b.Value ? yes : no;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 WhereEqual(F32x1 a, F32x1 b, F32x1 yes, F32x1 no) => a.Value == b.Value ? yes : no;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator &(F32x1 left, F32x1 right) => SplatBits(left.Bits & right.Bits);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator |(F32x1 left, F32x1 right) => SplatBits(left.Bits | right.Bits);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator <<(F32x1 value, int count) => SplatBits(value.Bits << count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 operator >>>(F32x1 value, int count) => SplatBits(value.Bits >>> count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 AddBits(F32x1 left, F32x1 right) => SplatBits(left.Bits + right.Bits);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x1 WhereBitsGreater(F32x1 a, F32x1 b, F32x1 yes, F32x1 no) => a.Bits > b.Bits ? yes : no;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(F32x1 a, F32x1 b) => a.Bits > b.Bits ? 1u : 0u;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(F32x1 a, F32x1 b) => a.Bits == b.Bits ? 1u : 0u;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PackOffsets(F32x1 value, F32x1 low, F32x1 span, uint* destination)
    {
        *destination = value.Bits - low.Bits;
        return *destination <= span.Bits ? 1 : 0;
    }
}
