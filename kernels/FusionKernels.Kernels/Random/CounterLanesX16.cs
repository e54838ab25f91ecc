using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>
/// Sixteen lanes: AVX-512F. Two machine registers, because with 32 of them there is room, and one alone leaves the
/// multipliers idle while a round's result is on its way.
/// </summary>
internal readonly unsafe struct CounterLanesX16(Vector512<ulong> lower, Vector512<ulong> upper)
    : ICounterLanes<CounterLanesX16>
{
    private readonly Vector512<ulong> _lower = lower, _upper = upper;

    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 Splat(ulong value) => new(Vector512.Create(value), Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 Consecutive(ulong first) =>
        new(Vector512.Create(first) + Vector512<ulong>.Indices, Vector512.Create(first + 8) + Vector512<ulong>.Indices);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 MultiplyLower(CounterLanesX16 left, CounterLanesX16 right) =>
        new(Avx512F.Multiply(left._lower.AsUInt32(), right._lower.AsUInt32()),
            Avx512F.Multiply(left._upper.AsUInt32(), right._upper.AsUInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 Upper(CounterLanesX16 value) => new(value._lower >>> 32, value._upper >>> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 Xor(CounterLanesX16 a, CounterLanesX16 b, CounterLanesX16 c) =>
        new(a._lower ^ b._lower ^ c._lower, a._upper ^ b._upper ^ c._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CounterLanesX16 Pair(CounterLanesX16 even, CounterLanesX16 odd) =>
        new(Pair(even._lower, odd._lower), Pair(even._upper, odd._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint HalvesAtLeast(CounterLanesX16 halves, CounterLanesX16 bound) =>
        HalvesAtLeast(halves._lower, bound._lower) | (HalvesAtLeast(halves._upper, bound._upper) << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreInterleaved(CounterLanesX16 first, CounterLanesX16 second, uint* words)
    {
        // SAFETY: the caller owns 64 words.
        StoreInterleaved(first._lower, second._lower, words);
        StoreInterleaved(first._upper, second._upper, words + 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Pair(Vector512<ulong> even, Vector512<ulong> odd) =>
        Vector512.ConditionalSelect(Vector512.Create(0xFFFF_FFFFul), even, odd << 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint HalvesAtLeast(Vector512<ulong> halves, Vector512<ulong> bound) =>
        (uint)Vector512.GreaterThanOrEqual(halves.AsUInt32(), bound.AsUInt32()).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreInterleaved(Vector512<ulong> first, Vector512<ulong> second, uint* words)
    {
        Vector512<ulong> lower = Vector512.Create(0ul, 8, 1, 9, 2, 10, 3, 11);
        Vector512<ulong> upper = Vector512.Create(4ul, 12, 5, 13, 6, 14, 7, 15);

        // SAFETY: the caller owns 32 words.
        Avx512F.PermuteVar8x64x2(first, lower, second).AsUInt32().Store(words);
        Avx512F.PermuteVar8x64x2(first, upper, second).AsUInt32().Store(words + 16);
    }
}
