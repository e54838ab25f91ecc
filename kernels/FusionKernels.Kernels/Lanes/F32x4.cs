using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels;

/// <summary>Four lanes in a 128-bit register.</summary>
/// <param name="value">The lanes.</param>
public readonly unsafe struct F32x4(Vector128<float> value) : ICpuLanes<F32x4>
{
    /// <summary>The lanes.</summary>
    public readonly Vector128<float> Value = value;

    /// <inheritdoc/>
    public static int Count => 4;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 Splat(float value) => new(Vector128.Create(value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 SplatBits(uint bits) => FromBits(Vector128.Create(bits));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 Load(byte* source, int size) => size switch
    {
        1 => FromBits(Vector128.WidenLower(
            Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)source).AsByte()))),
        2 => FromBits(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16())),
        4 => new(Vector128.Load((float*)source)),
        _ => new(Vector128.Narrow(Vector128.Load((double*)source), Vector128.Load((double*)source + 2))),
    };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F32x4 value, byte* destination, int size)
    {
        Vector128<uint> bits = value.Value.AsUInt32();
        switch (size)
        {
            case 1:
                *(uint*)destination = Vector128.Narrow(
                    Vector128.Narrow(bits, bits), Vector128<ushort>.Zero).AsUInt32().ToScalar();
                break;
            case 2:
                *(ulong*)destination = Vector128.Narrow(bits, bits).AsUInt64().ToScalar();
                break;
            case 4:
                value.Value.Store((float*)destination);
                break;
            default:
                (Vector128<double> lower, Vector128<double> upper) = Vector128.Widen(value.Value);
                lower.Store((double*)destination);
                upper.Store((double*)destination + 2);
                break;
        }
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 MaskFactor(byte* bits, nint index)
    {
        Vector128<uint> lane = Vector128.Create(1u, 2, 4, 8);
        Vector128<uint> all = Vector128.Create((uint)bits[index >> 3] >> (int)(index & 4));
        Vector128<uint> clear = Vector128.Equals(all & lane, Vector128<uint>.Zero);
        return new(Vector128.ConditionalSelect(clear.AsSingle(), Vector128<float>.Zero, Vector128.Create(1f)));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator +(F32x4 left, F32x4 right) => new(left.Value + right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator -(F32x4 left, F32x4 right) => new(left.Value - right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator *(F32x4 left, F32x4 right) => new(left.Value * right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator /(F32x4 left, F32x4 right) => new(left.Value / right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(F32x4 value)
    {
        Vector128<float> pairs = value.Value + Vector128.Shuffle(value.Value, Vector128.Create(2, 3, 0, 1));
        return pairs[0] + pairs[1];
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 Abs(F32x4 value) => new(Vector128.Abs(value.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 WhereGreater(F32x4 a, F32x4 b, F32x4 yes, F32x4 no) =>
        new(Vector128.ConditionalSelect(Vector128.GreaterThan(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 WhereGreaterOrEqual(F32x4 a, F32x4 b, F32x4 yes, F32x4 no) =>
        new(Vector128.ConditionalSelect(Vector128.GreaterThanOrEqual(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 WhereEqual(F32x4 a, F32x4 b, F32x4 yes, F32x4 no) =>
        new(Vector128.ConditionalSelect(Vector128.Equals(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator &(F32x4 left, F32x4 right) => new(left.Value & right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator |(F32x4 left, F32x4 right) => new(left.Value | right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator <<(F32x4 value, int count) => FromBits(value.Value.AsUInt32() << count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 operator >>>(F32x4 value, int count) => FromBits(value.Value.AsUInt32() >>> count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 AddBits(F32x4 left, F32x4 right) =>
        FromBits(left.Value.AsUInt32() + right.Value.AsUInt32());

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x4 WhereBitsGreater(F32x4 a, F32x4 b, F32x4 yes, F32x4 no) => new(Vector128.ConditionalSelect(
        Vector128.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).AsSingle(), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(F32x4 a, F32x4 b) =>
        Vector128.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(F32x4 a, F32x4 b) =>
        Vector128.Equals(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PackOffsets(F32x4 value, F32x4 low, F32x4 span, uint* destination)
    {
        Vector128<uint> offsets = value.Value.AsUInt32() - low.Value.AsUInt32();
        uint keep = Vector128.LessThanOrEqual(offsets, span.Value.AsUInt32()).ExtractMostSignificantBits();
        int packed = 0;
        for (uint rest = keep; rest != 0; rest &= rest - 1)
            destination[packed++] = offsets.GetElement(BitOperations.TrailingZeroCount(rest));
        return packed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static F32x4 FromBits(Vector128<uint> bits) => new(bits.AsSingle());
}
