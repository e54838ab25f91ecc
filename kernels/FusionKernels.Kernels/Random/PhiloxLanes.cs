using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels;

/// <summary>
/// <see cref="Philox"/> for many blocks at once; the same words as <see cref="Philox.Block"/>. Register r of the four
/// that a lane works on holds word r of that lane's block in its lower half (<see cref="ICounterLanes{TSelf}"/>), so a
/// round is two multiplications, two shifts and two three-way exclusive ors. Two registers' worth of blocks are in work
/// at a time, because the chain of ten rounds is bound by latency; the processor overlaps the loop's iterations for the
/// rest.
/// </summary>
internal static unsafe class PhiloxLanes
{
    /// <summary>
    /// The keep bits of a dropping mask: bit i of <paramref name="bits"/> is set iff (word &gt;&gt; 8) &gt;=
    /// <paramref name="dropBelow"/> for the word of element <paramref name="first"/> + i. Unused bits of the last byte
    /// are zero.
    /// </summary>
    /// <param name="stream">The stream of words.</param>
    /// <param name="first">First element; a multiple of 8.</param>
    /// <param name="length">Number of elements.</param>
    /// <param name="dropBelow">0 to 2^24.</param>
    /// <param name="bits">Receives ceil(length / 8) bytes.</param>
    public static void KeepBits(Philox stream, long first, int length, uint dropBelow, byte* bits)
    {
        if (Avx512F.IsSupported)
            KeepBits<CounterLanesX16>(stream, first, length, dropBelow, bits);
        else if (Avx2.IsSupported)
            KeepBits<CounterLanesX4>(stream, first, length, dropBelow, bits);
        else
            KeepBits<CounterLanesX2>(stream, first, length, dropBelow, bits);
    }

    /// <summary>The words of elements <paramref name="first"/>, <paramref name="first"/> + 1, ...</summary>
    public static void Words(Philox stream, long first, Span<uint> words)
    {
        if (Avx512F.IsSupported)
            Words<CounterLanesX16>(stream, first, words);
        else if (Avx2.IsSupported)
            Words<CounterLanesX4>(stream, first, words);
        else
            Words<CounterLanesX2>(stream, first, words);
    }

    internal static void KeepBits<T>(Philox stream, long first, int length, uint dropBelow, byte* bits)
        where T : struct, ICounterLanes<T>
    {
        Debug.Assert(first % 8 == 0, "A byte of the mask begins at a multiple of 8.");
        if (dropBelow >= 1 << 24)
        {
            new Span<byte>(bits, (length + 7) / 8).Clear();
            return;
        }

        // (word >> 8) >= d is word >= d << 8, which fits for d < 2^24.
        T bound = T.Splat(((ulong)dropBelow << 40) | (dropBelow << 8));
        ulong* keys = stackalloc ulong[2 * Philox.Rounds];
        Schedule(stream, keys);

        // Each turn makes 2 x Count blocks: 8 x Count elements, of which each register holds half.
        for (int done = 0; done < length; done += 8 * T.Count)
        {
            Rounds(stream, keys, (ulong)(first + done) >> 2, out T a01, out T a23, out T b01, out T b23);
            StoreBits(a01, a23, bound, bits + (done / 8), length - done);
            StoreBits(b01, b23, bound, bits + (done / 8) + (T.Count / 2), length - done - (4 * T.Count));
        }
    }

    internal static void Words<T>(Philox stream, long first, Span<uint> words)
        where T : struct, ICounterLanes<T>
    {
        // Single words up to a block's begin, then whole turns of 2 x Count blocks, then single words again.
        int done = 0;
        for (; done < words.Length && ((first + done) & 3) != 0; done++)
            words[done] = stream.Word(first + done);

        ulong* keys = stackalloc ulong[2 * Philox.Rounds];
        Schedule(stream, keys);
        fixed (uint* target = words)
        {
            for (; words.Length - done >= 8 * T.Count; done += 8 * T.Count)
            {
                Rounds(stream, keys, (ulong)(first + done) >> 2, out T a01, out T a23, out T b01, out T b23);

                // SAFETY: the loop's condition leaves room for both halves of the turn.
                T.StoreInterleaved(a01, a23, target + done);
                T.StoreInterleaved(b01, b23, target + done + (4 * T.Count));
            }
        }

        for (; done < words.Length; done++)
            words[done] = stream.Word(first + done);
    }

    /// <summary>
    /// Compares the words of Count blocks with the bound and writes the bits of those elements that are asked for.
    /// Words 0 and 1 (then 2 and 3) give two bits per block, which belong into bits 0 and 1 (then 2 and 3) of the
    /// block's nibble.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreBits<T>(T words01, T words23, T bound, byte* target, int elements)
        where T : struct, ICounterLanes<T>
    {
        ulong keep = SpreadPairs(T.HalvesAtLeast(words01, bound)) | (SpreadPairs(T.HalvesAtLeast(words23, bound)) << 2);

        // SAFETY: where all elements are asked for, their Count / 2 bytes are written at once; otherwise the bits
        // beyond are cleared and the bytes asked for written one by one.
        if (elements < 4 * T.Count)
        {
            for (; elements > 0; elements -= 8, keep >>= 8)
                *target++ = (byte)(elements >= 8 ? keep : keep & ((1u << elements) - 1));
        }
        else if (T.Count == 16)
        {
            Unsafe.WriteUnaligned(target, keep);
        }
        else if (T.Count == 4)
        {
            Unsafe.WriteUnaligned(target, (ushort)keep);
        }
        else
        {
            *target = (byte)keep;
        }
    }

    /// <summary>The keys of the rounds: k0, k1 of round 0, then of round 1, ...</summary>
    private static void Schedule(Philox stream, ulong* keys)
    {
        for (uint round = 0; round < Philox.Rounds; round++)
        {
            keys[2 * round] = (uint)stream.Seed + (round * Philox.Weyl0);
            keys[(2 * round) + 1] = (uint)(stream.Seed >> 32) + (round * Philox.Weyl1);
        }
    }

    /// <summary>
    /// The blocks <paramref name="block"/> ... in <c>a</c> and the Count following ones in <c>b</c>: words 0 and 1 as
    /// the two halves of a lane, likewise words 2 and 3.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rounds<T>(
        Philox stream, ulong* keys, ulong block, out T a01, out T a23, out T b01, out T b23)
        where T : struct, ICounterLanes<T>
    {
        T a0 = T.Consecutive(block), b0 = T.Consecutive(block + (uint)T.Count);
        T a1 = T.Upper(a0), b1 = T.Upper(b0);
        T a2 = T.Splat(stream.Stream), b2 = a2;
        T a3 = T.Upper(a2), b3 = a3;
        for (int round = 0; round < Philox.Rounds; round += 2)
        {
            Round(ref a0, ref a1, ref a2, ref a3, keys + (2 * round));
            Round(ref b0, ref b1, ref b2, ref b3, keys + (2 * round));
            Round(ref a0, ref a1, ref a2, ref a3, keys + (2 * round) + 2);
            Round(ref b0, ref b1, ref b2, ref b3, keys + (2 * round) + 2);
        }

        (a01, a23) = (T.Pair(a0, a1), T.Pair(a2, a3));
        (b01, b23) = (T.Pair(b0, b1), T.Pair(b2, b3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Round<T>(ref T word0, ref T word1, ref T word2, ref T word3, ulong* keys)
        where T : struct, ICounterLanes<T>
    {
        T product0 = T.MultiplyLower(word0, T.Splat(Philox.Multiplier0));
        T product1 = T.MultiplyLower(word2, T.Splat(Philox.Multiplier1));
        word0 = T.Xor(T.Upper(product1), word1, T.Splat(keys[0]));
        word2 = T.Xor(T.Upper(product0), word3, T.Splat(keys[1]));
        (word1, word3) = (product1, product0);
    }

    /// <summary>Moves the 16 pairs of bits in the lower half to the lower pairs of 16 nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SpreadPairs(ulong pairs)
    {
        const ulong LowerPairs = 0x3333_3333_3333_3333;
        if (Bmi2.X64.IsSupported)
            return Bmi2.X64.ParallelBitDeposit(pairs, LowerPairs);
        pairs = (pairs | (pairs << 16)) & 0x0000_FFFF_0000_FFFF;
        pairs = (pairs | (pairs << 8)) & 0x00FF_00FF_00FF_00FF;
        pairs = (pairs | (pairs << 4)) & 0x0F0F_0F0F_0F0F_0F0F;
        return (pairs | (pairs << 2)) & LowerPairs;
    }
}
