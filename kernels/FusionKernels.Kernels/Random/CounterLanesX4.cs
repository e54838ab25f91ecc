using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>Four lanes: AVX2.</summary>
internal readonly unsafe struct CounterLanesX4(Vector256<ulong> value) : ICounterLanes<CounterLanesX4>
{
    private readonly Vector256<ulong> _value = value;

    public static int Count => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 Splat(ulong value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 Consecutive(ulong first) => new(Vector256.Create(first) + Vector256<ulong>.Indices);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 MultiplyLower(CounterLanesX4 left, CounterLanesX4 right) =>
        new(Avx2.Multiply(left._value.AsUInt32(), right._value.AsUInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 Upper(CounterLanesX4 value) => new(value._value >>> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 Xor(CounterLanesX4 a, CounterLanesX4 b, CounterLanesX4 c) =>
        new(a._value ^ b._value ^ c._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX4 Pair(CounterLanesX4 even, CounterLanesX4 odd) =>
        new(Avx2.Blend(even._value.AsUInt32(), (odd._value << 32).AsUInt32(), 0b1010_1010).AsUInt64());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint HalvesAtLeast(CounterLanesX4 halves, CounterLanesX4 bound) =>
        Vector256.GreaterThanOrEqual(halves._value.AsUInt32(), bound._value.AsUInt32()).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreInterleaved(CounterLanesX4 first, CounterLanesX4 second, uint* words)
    {
        Vector256<ulong> even = Avx2.UnpackLow(first._value, second._value);
        Vector256<ulong> odd = Avx2.UnpackHigh(first._value, second._value);

        // SAFETY: the caller owns 16 words.
        Avx2.Permute2x128(even, odd, 0x20).AsUInt32().Store(words);
        Avx2.Permute2x128(even, odd, 0x31).AsUInt32().Store(words + 8);
    }
}
