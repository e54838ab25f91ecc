using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>Sixteen lanes in a 512-bit register.</summary>
/// <param name="value">The lanes.</param>
public readonly unsafe struct F32x16(Vector512<float> value) : ICpuLanes<F32x16>
{
    /// <summary>The lanes.</summary>
    public readonly Vector512<float> Value = value;

    /// <inheritdoc/>
    public static int Count => 16;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 Splat(float value) => new(Vector512.Create(value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 SplatBits(uint bits) => FromBits(Vector512.Create(bits));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 Load(byte* source, int size) => size switch
    {
        1 => FromBits(Vector512.WidenLower(
            Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()).ToVector512Unsafe())),
        2 => FromBits(Vector512.WidenLower(Vector256.Load((ushort*)source).ToVector512Unsafe())),
        4 => new(Vector512.Load((float*)source)),
        _ => new(Vector512.Narrow(Vector512.Load((double*)source), Vector512.Load((double*)source + 8))),
    };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F32x16 value, byte* destination, int size)
    {
        Vector512<uint> bits = value.Value.AsUInt32();
        switch (size)
        {
            case 1:
                (Avx512F.IsSupported
                    ? Avx512F.ConvertToVector128Byte(bits)
                    : Narrow(Vector256.Narrow(bits.GetLower(), bits.GetUpper()))).Store(destination);
                break;
            case 2:
                (Avx512F.IsSupported
                    ? Avx512F.ConvertToVector256UInt16(bits)
                    : Vector256.Narrow(bits.GetLower(), bits.GetUpper())).Store((ushort*)destination);
                break;
            case 4:
                value.Value.Store((float*)destination);
                break;
            default:
                (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(value.Value);
                lower.Store((double*)destination);
                upper.Store((double*)destination + 8);
                break;
        }
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 MaskFactor(byte* bits, nint index)
    {
        Vector512<uint> lane = Vector512.Create(
            1u, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        Vector512<uint> all = Vector512.Create(*(ushort*)(bits + (index >> 3))).AsUInt32();
        Vector512<uint> clear = Vector512.Equals(all & lane, Vector512<uint>.Zero);
        return new(Vector512.ConditionalSelect(clear.AsSingle(), Vector512<float>.Zero, Vector512.Create(1f)));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator +(F32x16 left, F32x16 right) => new(left.Value + right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator -(F32x16 left, F32x16 right) => new(left.Value - right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator *(F32x16 left, F32x16 right) => new(left.Value * right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator /(F32x16 left, F32x16 right) => new(left.Value / right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(F32x16 value) => F32x8.Sum(new(value.Value.GetLower() + value.Value.GetUpper()));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 Abs(F32x16 value) => new(Vector512.Abs(value.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 WhereGreater(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) =>
        new(Vector512.ConditionalSelect(Vector512.GreaterThan(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 WhereGreaterOrEqual(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) =>
        new(Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 WhereEqual(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) =>
        new(Vector512.ConditionalSelect(Vector512.Equals(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator &(F32x16 left, F32x16 right) => new(left.Value & right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator |(F32x16 left, F32x16 right) => new(left.Value | right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator <<(F32x16 value, int count) => FromBits(value.Value.AsUInt32() << count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 operator >>>(F32x16 value, int count) => FromBits(value.Value.AsUInt32() >>> count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 AddBits(F32x16 left, F32x16 right) =>
        FromBits(left.Value.AsUInt32() + right.Value.AsUInt32());

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x16 WhereBitsGreater(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) => new(Vector512.ConditionalSelect(
        Vector512.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).AsSingle(), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(F32x16 a, F32x16 b) =>
        (uint)Vector512.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(F32x16 a, F32x16 b) =>
        (uint)Vector512.Equals(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PackOffsets(F32x16 value, F32x16 low, F32x16 span, uint* destination)
    {
        Vector512<uint> offsets = value.Value.AsUInt32() - low.Value.AsUInt32();
        Vector512<uint> within = Vector512.LessThanOrEqual(offsets, span.Value.AsUInt32());
        ulong keep = within.ExtractMostSignificantBits();
        if (Avx512F.IsSupported)
        {
            Avx512F.Compress(Vector512<uint>.Zero, within, offsets).Store(destination);
            return BitOperations.PopCount(keep);
        }

        int packed = 0;
        for (ulong rest = keep; rest != 0; rest &= rest - 1)
            destination[packed++] = offsets.GetElement(BitOperations.TrailingZeroCount(rest));
        return packed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static F32x16 FromBits(Vector512<uint> bits) => new(bits.AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Narrow(Vector256<ushort> wide) => Vector128.Narrow(wide.GetLower(), wide.GetUpper());
}
