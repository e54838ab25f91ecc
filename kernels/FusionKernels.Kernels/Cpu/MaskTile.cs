using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// The mask of one source over a stretch of elements, as bits, so that loops need to know one kind of mask only. Bit k
/// is bit k mod 8 of byte k div 8.
/// </summary>
internal static unsafe class MaskTile
{
    /// <summary>
    /// Bytes that <see cref="Fill"/> needs: a bit per element in whole 64-bit words, and one word more.
    /// </summary>
    public static int Bytes(int length) => ((length + 63) / 64 * 8) + 8;

    /// <summary>Writes the mask of elements <paramref name="first"/>, <paramref name="first"/> + 1, ...</summary>
    /// <param name="source">The model; its data begins at the first element. Only a magnitude mask reads it.</param>
    /// <param name="basis">The base at the first element, or <c>default</c>.</param>
    /// <param name="first">Index of the first element within the tensor.</param>
    /// <param name="length">Number of elements.</param>
    /// <param name="bits">
    /// Room for <see cref="Bytes"/>. The last word's bits beyond the last element become zero.
    /// </param>
    public static void Fill<T>(in Source source, Operand basis, long first, int length, byte* bits)
        where T : struct, ICpuLanes<T>
    {
        Mask mask = source.Mask;
        int before = (int)(first & 7), words = (length + 63) / 64;
        switch (mask.Kind)
        {
            case MaskKind.Magnitude:
                var compare = new MagnitudeBits<T>(
                    (byte*)source.Data.Address, (byte*)basis.Address, mask, first, length, (ulong*)bits);
                Codec.Select(source.Data.Type, basis.Exists ? basis.Type : source.Data.Type, compare);
                break;
            case MaskKind.Band:
                BandTile.Fill<T>(source, basis, first, length, (ulong*)bits);
                break;
            case MaskKind.Random:
                PhiloxLanes.KeepBits(mask.Random, first - before, length + before, mask.DropBelow, bits);
                ShiftDown((ulong*)bits, words, before);
                break;
            case MaskKind.Bits:
                Unsafe.CopyBlockUnaligned(bits, mask.Bits + (first >> 3), (uint)(before + length + 7) / 8);
                ShiftDown((ulong*)bits, words, before);
                break;
            default:
                Unsafe.InitBlockUnaligned(bits, 0xFF, (uint)words * 8);
                break;
        }

        if ((length & 63) != 0)
            ((ulong*)bits)[words - 1] &= (1ul << (length & 63)) - 1;
    }

    /// <summary>Drops the lowest bits of a run of words; bits of the word after the last come in.</summary>
    private static void ShiftDown(ulong* bits, int words, int count)
    {
        if (count == 0)
            return;
        for (int word = 0; word < words; word++)
            bits[word] = (bits[word] >> count) | (bits[word + 1] << (64 - count));
    }

    private readonly struct MagnitudeBits<T>(byte* data, byte* basis, Mask mask, long first, int length, ulong* bits)
        : ICodecPairAction
        where T : struct, ICpuLanes<T>
    {
        // One 64-bit word per turn, lane j of register r giving bit r * Count + j. Elements up to the last tie are
        // kept at the threshold, later ones only above it; a word knows how many of its elements the ties concern. The
        // last word is made lane by lane, so that no element beyond the last is read.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Invoke<TData, TBase>()
            where TData : struct, ICodec
            where TBase : struct, ICodec
        {
            int start = 0;
            for (; start <= length - 64; start += 64)
                bits[start >> 6] = Word<TData, TBase, T>(start, 64);
            if (start < length)
                bits[start >> 6] = Word<TData, TBase, F32x1>(start, length - start);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private ulong Word<TData, TBase, TLanes>(int start, int count)
            where TData : struct, ICodec
            where TBase : struct, ICodec
            where TLanes : struct, ICpuLanes<TLanes>
        {
            ulong above = 0, equal = 0;
            TLanes threshold = TLanes.SplatBits(mask.ThresholdBits);
            for (int j = 0; j < count; j += TLanes.Count)
            {
                nint i = start + j;
                TLanes value = Codec.Load<TData, TLanes>(data + (i * TData.Size));
                if (basis != null)
                    value -= Codec.Load<TBase, TLanes>(basis + (i * TBase.Size));
                TLanes magnitude = TLanes.Abs(value);
                above |= (ulong)TLanes.BitsGreater(magnitude, threshold) << j;
                equal |= (ulong)TLanes.BitsEqual(magnitude, threshold) << j;
            }

            long begin = first + start;
            if (mask.LastTie < begin)
                return above;
            long later = mask.LastTie - begin;
            return later < 63 ? above | (equal & ((2ul << (int)later) - 1)) : above | equal;
        }
    }
}
