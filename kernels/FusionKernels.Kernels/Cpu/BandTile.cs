using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The bits of a <see cref="MaskKind.Band"/> mask for <see cref="MaskTile"/>.</summary>
internal static unsafe class BandTile
{
    /// <summary>Writes the bits of whole words; those beyond the last element are zero.</summary>
    public static void Fill<T>(in Source source, Operand basis, long first, int length, ulong* bits)
        where T : struct, ICpuLanes<T>
    {
        var band = new Band<T>((byte*)source.Data.Address, (byte*)basis.Address, source.Mask, first, length, bits);
        Codec.Select(source.Data.Type, basis.Exists ? basis.Type : source.Data.Type, band);
    }

    private readonly struct Band<T>(byte* data, byte* basis, Mask mask, long first, int length, ulong* bits)
        : ICodecPairAction
        where T : struct, ICpuLanes<T>
    {
        // One 64-bit word per turn, lane j of register r giving bit r * Count + j. Four comparisons per register say on
        // which side of the thresholds a lane lies, or that it ties; the word then knows which of its elements the ties
        // concern. The last word is made lane by lane, so that no element beyond the last is read.
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
            ulong aboveLow = 0, atLow = 0, belowHigh = 0, atHigh = 0;
            TLanes low = TLanes.SplatBits(mask.LowBits), high = TLanes.SplatBits(mask.HighBits);
            for (int j = 0; j < count; j += TLanes.Count)
            {
                nint i = start + j;
                TLanes value = Codec.Load<TData, TLanes>(data + (i * TData.Size));
                if (basis != null)
                    value -= Codec.Load<TBase, TLanes>(basis + (i * TBase.Size));
                TLanes magnitude = TLanes.Abs(value);
                aboveLow |= (ulong)TLanes.BitsGreater(magnitude, low) << j;
                atLow |= (ulong)TLanes.BitsEqual(magnitude, low) << j;
                belowHigh |= (ulong)TLanes.BitsGreater(high, magnitude) << j;
                atHigh |= (ulong)TLanes.BitsEqual(magnitude, high) << j;
            }

            long begin = first + start;
            return (aboveLow | (atLow & ~UpTo(mask.LastLow, begin)))
                & (belowHigh | (atHigh & UpTo(mask.LastHigh, begin)));
        }

        /// <summary>The bits of the elements whose index is at most <paramref name="last"/>.</summary>
        private static ulong UpTo(long last, long begin) =>
            last < begin ? 0 : last - begin >= 63 ? ulong.MaxValue : (2ul << (int)(last - begin)) - 1;
    }
}
