using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Util;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>A model's bracket in <see cref="SelectKernels.Histogram"/>; see <see cref="MagnitudeHistogram"/>.</summary>
internal struct Bracket
{
    /// <summary>The lowest and the highest magnitude's bits.</summary>
    public uint Low, High;

    /// <summary>log2 of the bit patterns per bin.</summary>
    public int Shift;

    /// <summary>
    /// Place of the model's first bin among all models'; after the last bin comes the count of what lies above.
    /// </summary>
    public int First;

    /// <summary>Place of that count.</summary>
    public readonly int AboveBin => First + (int)((High - Low) >> Shift) + 1;
}

/// <summary>Arguments of <see cref="SelectKernels.Histogram"/>.</summary>
internal struct HistogramArguments
{
    /// <summary>The inputs.</summary>
    public DeviceChunk Chunk;

    /// <summary>One for each model.</summary>
    public ArrayView<Bracket> Brackets;

    /// <summary>Counts of all bins, zero before.</summary>
    public ArrayView<uint> Counts;

    /// <summary>What each bin has seen, zero before.</summary>
    public ArrayView<uint> Seen;
}

/// <summary>Arguments of <see cref="SelectKernels.CountTies"/>.</summary>
internal struct TieArguments
{
    /// <summary>The inputs.</summary>
    public DeviceChunk Chunk;

    /// <summary>The magnitude's bits.</summary>
    public uint Bits;

    /// <summary>A count for each block of <see cref="SelectKernels.TieBlock"/> groups, zero before.</summary>
    public ArrayView<int> Counts;
}

/// <summary>Arguments of <see cref="SelectKernels.Magnitudes"/>.</summary>
internal struct MagnitudeArguments
{
    /// <summary>The inputs.</summary>
    public DeviceChunk Chunk;

    /// <summary>Receives a magnitude's bits for each element of whole groups.</summary>
    public ArrayView<uint> Magnitudes;
}

/// <summary>The select family: counts of magnitudes, no sort and no copy of a delta.</summary>
internal static class SelectKernels
{
    /// <summary>Groups of eight elements whose ties are counted together.</summary>
    public const int TieBlock = 512;

    // Bins that a group of threads counts in shared memory, and the tag of one that is free.
    private const int Slots = 2048, Free = -1;

    // A group of threads counts in a small table in shared memory, where a bin has one possible slot: the first bin to
    // come takes it, others count in global memory. So the few bins that hold most elements (zeros, the few magnitudes
    // that differences of bf16 numbers have) are added to the global counts once a group, and bins that are hit seldom
    // do not wait for each other anyway. What lies above a bracket, often half of everything, is counted in a register;
    // what lies within, mostly few of a thread's eight elements, is taken one after the other, so that a warp goes
    // round as often as its thread with the most of them. Model by model; the cache still has the base of a piece.
    public static void Histogram<TIn>(HistogramArguments arguments)
        where TIn : struct, ICodec
    {
        var table = new BinTable(
            SharedMemory.Allocate<int>(Slots),
            SharedMemory.Allocate<uint>(Slots),
            SharedMemory.Allocate<uint>(Slots),
            arguments.Counts,
            arguments.Seen);
        var allAbove = SharedMemory.Allocate<uint>(1);
        for (int slot = Group.IdxX; slot < Slots; slot += Group.DimX)
            table.Clear(slot);

        var chunk = arguments.Chunk;
        for (int model = 0; model < chunk.Sources.IntLength; model++)
        {
            if (Group.IdxX == 0)
                allAbove[0] = 0;
            Group.Barrier();
            Bracket bracket = arguments.Brackets[model];
            Eight lowest = Eight.SplatBits(bracket.Low), highest = Eight.SplatBits(bracket.High);
            uint above = 0;
            for (long group = Grid.LongGlobalIndex.X; group < chunk.Groups; group += GridStride.X)
            {
                Eight magnitude = chunk.Magnitude<TIn>(model, group);
                uint members = chunk.Members(group), higher = Eight.BitsGreater(magnitude, highest) & members;
                above += (uint)IntrinsicMath.BitOperations.PopCount(higher);
                uint within = members & ~higher & ~Eight.BitsGreater(lowest, magnitude);
                for (; within != 0; within &= within - 1)
                    table.Count(Pick(magnitude, within), bracket);
            }

            Atomic.Add(ref allAbove[0], above);
            Group.Barrier();
            if (Group.IdxX == 0)
                Atomic.Add(ref arguments.Counts[bracket.AboveBin], allAbove[0]);
            Group.Barrier();
        }

        for (int slot = Group.IdxX; slot < Slots; slot += Group.DimX)
            table.Flush(slot);
    }

    /// <summary>The bits of the element that the lowest bit set stands for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Pick(Eight elements, uint bits)
    {
        bool upper = (bits & 0xF) == 0;
        Lane a = Pick(upper, elements.Low.Low.Low, elements.High.Low.Low);
        Lane b = Pick(upper, elements.Low.Low.High, elements.High.Low.High);
        Lane c = Pick(upper, elements.Low.High.Low, elements.High.High.Low);
        Lane d = Pick(upper, elements.Low.High.High, elements.High.High.High);
        uint four = upper ? bits >> 4 : bits;
        bool high = (four & 3) == 0;
        Lane even = Pick(high, a, c), odd = Pick(high, b, d);
        return Pick(((high ? four >> 2 : four) & 1) == 0, even, odd).Bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lane Pick(bool second, Lane first, Lane other) =>
        Lane.SplatBits(Utilities.Select(second, other.Bits, first.Bits));

    public static void CountTies<TIn>(TieArguments arguments)
        where TIn : struct, ICodec
    {
        var chunk = arguments.Chunk;
        for (long group = Grid.LongGlobalIndex.X; group < chunk.Groups; group += GridStride.X)
        {
            uint equal = Eight.BitsEqual(chunk.Magnitude<TIn>(0, group), Eight.SplatBits(arguments.Bits));
            int ties = IntrinsicMath.BitOperations.PopCount(equal & chunk.Members(group));
            if (ties > 0)
                Atomic.Add(ref arguments.Counts[group / TieBlock], ties);
        }
    }

    public static void Magnitudes<TIn>(MagnitudeArguments arguments)
        where TIn : struct, ICodec
    {
        var view = arguments.Magnitudes.Cast<byte>();
        for (long group = Grid.LongGlobalIndex.X; group < arguments.Chunk.Groups; group += GridStride.X)
            Stored8.Bits(arguments.Chunk.Magnitude<TIn>(0, group)).Write<F32Codec>(view, group);
    }

    /// <summary>The table of a group of threads.</summary>
    private readonly struct BinTable(
        ArrayView<int> tags,
        ArrayView<uint> counts,
        ArrayView<uint> seen,
        ArrayView<uint> allCounts,
        ArrayView<uint> allSeen)
    {
        private readonly ArrayView<int> _tags = tags;
        private readonly ArrayView<uint> _counts = counts, _seen = seen, _allCounts = allCounts, _allSeen = allSeen;

        public void Clear(int slot)
        {
            _tags[slot] = Free;
            _counts[slot] = 0;
            _seen[slot] = 0;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Count(uint magnitude, in Bracket bracket)
        {
            uint offset = magnitude - bracket.Low;
            int bin = bracket.First + (int)(offset >> bracket.Shift);
            uint trace = MagnitudeHistogram.Trace(offset, bracket.Shift);
            int slot = bin & (Slots - 1), tag = _tags[slot];
            if (tag == Free)
                tag = Atomic.CompareExchange(ref _tags[slot], Free, bin);
            if (tag == Free || tag == bin)
                Add(_counts, _seen, slot, 1, trace);
            else
                Add(_allCounts, _allSeen, bin, 1, trace);
        }

        public void Flush(int slot)
        {
            if (_counts[slot] > 0)
                Add(_allCounts, _allSeen, _tags[slot], _counts[slot], _seen[slot]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(ArrayView<uint> counts, ArrayView<uint> seen, int place, uint count, uint trace)
        {
            Atomic.Add(ref counts[place], count);
            if ((seen[place] & trace) != trace)
                Atomic.Or(ref seen[place], trace);
        }
    }
}
