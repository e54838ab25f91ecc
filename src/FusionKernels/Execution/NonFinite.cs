using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>Counts stored elements that are NaN or infinite: those whose exponent bits (of F8_E4M3 all but the sign) are ones.</summary>
internal static class NonFinite
{
    /// <summary>How many of the elements are NaN or infinite.</summary>
    /// <param name="type">What is stored.</param>
    /// <param name="bytes">Whole elements.</param>
    public static long Count(ElementType type, ReadOnlySpan<byte> bytes) => type switch
    {
        ElementType.F64 => Count(MemoryMarshal.Cast<byte, ulong>(bytes), 0x7FF0_0000_0000_0000UL),
        ElementType.F32 => Count(MemoryMarshal.Cast<byte, uint>(bytes), 0x7F80_0000u),
        ElementType.F16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7C00),
        ElementType.BF16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7F80),
        ElementType.F8E5M2 => Count(bytes, (byte)0x7C),
        ElementType.F8E4M3 => Count(bytes, (byte)0x7F),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };

    // Nearly always there are none, so a block of vectors is only asked whether it holds any; those of a block that does,
    // and the remainder, are counted one by one. Bytes that were just written are in the caches and pass at their speed.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Count<TBits>(ReadOnlySpan<TBits> values, TBits ones)
        where TBits : unmanaged, IBinaryInteger<TBits>
    {
        int block = 64 * Vector<TBits>.Count;
        var mask = new Vector<TBits>(ones);
        long count = 0;
        for (; values.Length >= block; values = values[block..])
        {
            var vectors = MemoryMarshal.Cast<TBits, Vector<TBits>>(values[..block]);
            var found = Vector<TBits>.Zero;
            foreach (ref readonly var vector in vectors)
                found |= Vector.Equals(vector & mask, mask);
            if (found != Vector<TBits>.Zero)
                count += CountEach(values[..block], ones);
        }

        return count + CountEach(values, ones);
    }

    private static int CountEach<TBits>(ReadOnlySpan<TBits> values, TBits ones)
        where TBits : unmanaged, IBinaryInteger<TBits>
    {
        int count = 0;
        foreach (TBits value in values)
            count += (value & ones) == ones ? 1 : 0;
        return count;
    }
}
