using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>Two lanes: any machine.</summary>
internal readonly unsafe struct CounterLanesX2(Vector128<ulong> value) : ICounterLanes<CounterLanesX2>
{
    private readonly Vector128<ulong> _value = value;

    public static int Count => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 Splat(ulong value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 Consecutive(ulong first) => new(Vector128.Create(first, first + 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 MultiplyLower(CounterLanesX2 left, CounterLanesX2 right)
    {
        if (Sse2.IsSupported)
            return new(Sse2.Multiply(left._value.AsUInt32(), right._value.AsUInt32()));
        if (AdvSimd.IsSupported)
        {
            return new(AdvSimd.MultiplyWideningLower(
                AdvSimd.ExtractNarrowingLower(left._value), AdvSimd.ExtractNarrowingLower(right._value)));
        }

        Vector128<ulong> lower = Vector128.Create(0xFFFF_FFFFul);
        return new((left._value & lower) * (right._value & lower));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 Upper(CounterLanesX2 value) => new(value._value >>> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 Xor(CounterLanesX2 a, CounterLanesX2 b, CounterLanesX2 c) =>
        new(a._value ^ b._value ^ c._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX2 Pair(CounterLanesX2 even, CounterLanesX2 odd) =>
        new((even._value & Vector128.Create(0xFFFF_FFFFul)) | (odd._value << 32));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint HalvesAtLeast(CounterLanesX2 halves, CounterLanesX2 bound) =>
        Vector128.GreaterThanOrEqual(halves._value.AsUInt32(), bound._value.AsUInt32()).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreInterleaved(CounterLanesX2 first, CounterLanesX2 second, uint* words)
    {
        // SAFETY: the caller owns 8 words.
        Vector128.Create(first._value.GetLower(), second._value.GetLower()).AsUInt32().Store(words);
        Vector128.Create(first._value.GetUpper(), second._value.GetUpper()).AsUInt32().Store(words + 4);
    }
}
