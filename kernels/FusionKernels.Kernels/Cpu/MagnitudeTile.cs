using System.Numerics;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The magnitudes of one model's delta over a stretch of elements, straight from storage.</summary>
internal static unsafe class MagnitudeTile
{
    /// <summary>The bits of all magnitudes.</summary>
    /// <param name="data">The model's elements.</param>
    /// <param name="basis">The base's, or <c>default</c>.</param>
    /// <param name="length">Number of elements.</param>
    /// <param name="magnitudes">Receives as many.</param>
    public static void Write<T>(Operand data, Operand basis, int length, uint* magnitudes)
        where T : struct, ICpuLanes<T>
    {
        var all = new All<T>((byte*)data.Address, (byte*)basis.Address, length, magnitudes);
        Codec.Select(data.Type, basis.Exists ? basis.Type : data.Type, all);
    }

    /// <summary>
    /// Packs the magnitudes within [<paramref name="low"/>, <paramref name="high"/>], in index order and as offsets from
    /// <paramref name="low"/>, and counts those above.
    /// </summary>
    /// <param name="data">The model's elements.</param>
    /// <param name="basis">The base's, or <c>default</c>.</param>
    /// <param name="length">Number of elements.</param>
    /// <param name="low">Lowest magnitude bits.</param>
    /// <param name="high">Highest magnitude bits.</param>
    /// <param name="offsets">Room for <paramref name="length"/> offsets and a register more.</param>
    public static (int Above, int Within) Pack<T>(
        Operand data, Operand basis, int length, uint low, uint high, uint* offsets)
        where T : struct, ICpuLanes<T>
    {
        (int Above, int Within) found = default;
        var bracket = new Bracket<T>((byte*)data.Address, (byte*)basis.Address, length, low, high, offsets, &found);
        Codec.Select(data.Type, basis.Exists ? basis.Type : data.Type, bracket);
        return found;
    }

    private readonly struct All<T>(byte* data, byte* basis, int length, uint* magnitudes) : ICodecPairAction
        where T : struct, ICpuLanes<T>
    {
        // Whole registers, then single elements: lane j is element i + j.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Invoke<TData, TBase>()
            where TData : struct, ICodec
            where TBase : struct, ICodec
        {
            int i = 0;
            for (; i <= length - T.Count; i += T.Count)
                Put(DeltaTile.Load<TData, TBase, T>(data, basis, i), magnitudes + i);
            for (; i < length; i++)
                Put(DeltaTile.Load<TData, TBase, F32x1>(data, basis, i), magnitudes + i);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Put<TLanes>(TLanes delta, uint* target)
            where TLanes : struct, ICpuLanes<TLanes> => TLanes.Store(TLanes.Abs(delta), (byte*)target, sizeof(uint));
    }

    private readonly struct Bracket<T>(
        byte* data, byte* basis, int length, uint low, uint high, uint* offsets, (int Above, int Within)* found)
        : ICodecPairAction
        where T : struct, ICpuLanes<T>
    {
        public void Invoke<TData, TBase>()
            where TData : struct, ICodec
            where TBase : struct, ICodec
        {
            int done = Pack<TData, TBase, T>(data, basis, 0, length, low, high, offsets, found);
            if (done < length)
                Pack<TData, TBase, F32x1>(data, basis, done, length, low, high, offsets, found);
        }
    }

    // Lane j is element i + j. One comparison tells which lanes lie above the bracket; they are counted by their number.
    // Another, of the offset from its lower end as an unsigned integer, tells which lie within. Nothing branches: with
    // one element of ten within, a register without any is as frequent as not.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static int Pack<TData, TBase, T>(
        byte* data, byte* basis, int first, int length, uint low, uint high, uint* offsets, (int Above, int Within)* found)
        where TData : struct, ICodec
        where TBase : struct, ICodec
        where T : struct, ICpuLanes<T>
    {
        T lowest = T.SplatBits(low), highest = T.SplatBits(high), span = T.SplatBits(high - low);
        int above = found->Above, within = found->Within;
        nint i = first;
        for (; i <= length - T.Count; i += T.Count)
        {
            T magnitude = T.Abs(DeltaTile.Load<TData, TBase, T>(data, basis, i));
            above += BitOperations.PopCount(T.BitsGreater(magnitude, highest));
            within += T.PackOffsets(magnitude, lowest, span, offsets + within);
        }

        *found = (above, within);
        return (int)i;
    }
}
