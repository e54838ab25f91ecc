using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>Eight lanes in a 256-bit register.</summary>
/// <param name="value">The lanes.</param>
public readonly unsafe struct F32x8(Vector256<float> value) : ICpuLanes<F32x8>
{
    /// <summary>The lanes.</summary>
    public readonly Vector256<float> Value = value;

    /// <inheritdoc/>
    public static int Count => 8;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 Splat(float value) => new(Vector256.Create(value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 SplatBits(uint bits) => FromBits(Vector256.Create(bits));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 Load(byte* source, int size) => size switch
    {
        1 => FromBits(Vector256.WidenLower(
            Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsByte()).ToVector256Unsafe())),
        2 => FromBits(Vector256.WidenLower(Vector128.Load((ushort*)source).ToVector256Unsafe())),
        4 => new(Vector256.Load((float*)source)),
        _ => new(Vector256.Narrow(Vector256.Load((double*)source), Vector256.Load((double*)source + 4))),
    };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F32x8 value, byte* destination, int size)
    {
        Vector256<uint> bits = value.Value.AsUInt32();
        switch (size)
        {
            case 1:
                *(ulong*)destination = (Avx512F.VL.IsSupported
                    ? Avx512F.VL.ConvertToVector128Byte(bits)
                    : Vector128.Narrow(Vector128.Narrow(bits.GetLower(), bits.GetUpper()), Vector128<ushort>.Zero))
                    .AsUInt64().ToScalar();
                break;
            case 2:
                (Avx512F.VL.IsSupported
                    ? Avx512F.VL.ConvertToVector128UInt16(bits)
                    : Vector128.Narrow(bits.GetLower(), bits.GetUpper())).Store((ushort*)destination);
                break;
            case 4:
                value.Value.Store((float*)destination);
                break;
            default:
                (Vector256<double> lower, Vector256<double> upper) = Vector256.Widen(value.Value);
                lower.Store((double*)destination);
                upper.Store((double*)destination + 4);
                break;
        }
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 MaskFactor(byte* bits, nint index)
    {
        Vector256<uint> lane = Vector256.Create(1u, 2, 4, 8, 16, 32, 64, 128);
        Vector256<uint> all = Vector256.Create(bits[index >> 3]).AsUInt32();
        Vector256<uint> clear = Vector256.Equals(all & lane, Vector256<uint>.Zero);
        return new(Vector256.ConditionalSelect(clear.AsSingle(), Vector256<float>.Zero, Vector256.Create(1f)));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator +(F32x8 left, F32x8 right) => new(left.Value + right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator -(F32x8 left, F32x8 right) => new(left.Value - right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator *(F32x8 left, F32x8 right) => new(left.Value * right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator /(F32x8 left, F32x8 right) => new(left.Value / right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(F32x8 value) => F32x4.Sum(new(value.Value.GetLower() + value.Value.GetUpper()));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 Abs(F32x8 value) => new(Vector256.Abs(value.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 WhereGreater(F32x8 a, F32x8 b, F32x8 yes, F32x8 no) =>
        new(Vector256.ConditionalSelect(Vector256.GreaterThan(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 WhereGreaterOrEqual(F32x8 a, F32x8 b, F32x8 yes, F32x8 no) =>
        new(Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 WhereEqual(F32x8 a, F32x8 b, F32x8 yes, F32x8 no) =>
        new(Vector256.ConditionalSelect(Vector256.Equals(a.Value, b.Value), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator &(F32x8 left, F32x8 right) => new(left.Value & right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator |(F32x8 left, F32x8 right) => new(left.Value | right.Value);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator <<(F32x8 value, int count) => FromBits(value.Value.AsUInt32() << count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 operator >>>(F32x8 value, int count) => FromBits(value.Value.AsUInt32() >>> count);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 AddBits(F32x8 left, F32x8 right) =>
        FromBits(left.Value.AsUInt32() + right.Value.AsUInt32());

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F32x8 WhereBitsGreater(F32x8 a, F32x8 b, F32x8 yes, F32x8 no) => new(Vector256.ConditionalSelect(
        Vector256.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).AsSingle(), yes.Value, no.Value));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(F32x8 a, F32x8 b) =>
        Vector256.GreaterThan(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(F32x8 a, F32x8 b) =>
        Vector256.Equals(a.Value.AsUInt32(), b.Value.AsUInt32()).ExtractMostSignificantBits();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PackOffsets(F32x8 value, F32x8 low, F32x8 span, uint* destination)
    {
        Vector256<uint> offsets = value.Value.AsUInt32() - low.Value.AsUInt32();
        uint keep = Vector256.LessThanOrEqual(offsets, span.Value.AsUInt32()).ExtractMostSignificantBits();
        if (Avx2.IsSupported && Bmi2.X64.IsSupported)
        {
            // The places of the set bits are gathered as bytes of a word (a mask byte per lane, then an extraction from
            // the bytes 0, 1, ... 7) and become the index of a permutation.
            ulong lanes = Bmi2.X64.ParallelBitDeposit(keep, 0x0101_0101_0101_0101) * 0xFF;
            ulong places = Bmi2.X64.ParallelBitExtract(0x0706_0504_0302_0100, lanes);
            Vector256<int> index = Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(places).AsByte());
            Avx2.PermuteVar8x32(offsets, index.AsUInt32()).Store(destination);
            return BitOperations.PopCount(keep);
        }

        int packed = 0;
        for (uint rest = keep; rest != 0; rest &= rest - 1)
            destination[packed++] = offsets.GetElement(BitOperations.TrailingZeroCount(rest));
        return packed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static F32x8 FromBits(Vector256<uint> bits) => new(bits.AsSingle());
}
