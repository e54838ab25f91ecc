using System.Runtime.CompilerServices;
using ILGPU;

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
    // do not wait for each other anyway. The base is read once for all models.
    public static void Histogram<TIn>(HistogramArguments arguments)
        where TIn : struct, ICodec
    {
        var table = new BinTable(
            SharedMemory.Allocate<int>(Slots),
            SharedMemory.Allocate<uint>(Slots),
            SharedMemory.Allocate<uint>(Slots),
            arguments.Counts,
            arguments.Seen);
        for (int slot = Group.IdxX; slot < Slots; slot += Group.DimX)
            table.Clear(slot);
        Group.Barrier();

        var chunk = arguments.Chunk;
        for (long group = Grid.LongGlobalIndex.X; group < chunk.Groups; group += GridStride.X)
        {
            uint members = chunk.Members(group);
            for (int model = 0; model < chunk.Sources.IntLength; model++)
            {
                Eight magnitude = chunk.Magnitude<TIn>(model, group);
                Bracket bracket = arguments.Brackets[model];
                table.Count(magnitude.Low.Low.Low, members, bracket);
                table.Count(magnitude.Low.Low.High, members >> 1, bracket);
                table.Count(magnitude.Low.High.Low, members >> 2, bracket);
                table.Count(magnitude.Low.High.High, members >> 3, bracket);
                table.Count(magnitude.High.Low.Low, members >> 4, bracket);
                table.Count(magnitude.High.Low.High, members >> 5, bracket);
                table.Count(magnitude.High.High.Low, members >> 6, bracket);
                table.Count(magnitude.High.High.High, members >> 7, bracket);
            }
        }

        Group.Barrier();
        for (int slot = Group.IdxX; slot < Slots; slot += Group.DimX)
            table.Flush(slot);
    }

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
        ArrayView<int> tags, ArrayView<uint> counts, ArrayView<uint> seen, ArrayView<uint> allCounts, ArrayView<uint> allSeen)
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
        public void Count(Lane magnitude, uint member, in Bracket bracket)
        {
            uint bits = magnitude.Bits;
            if ((member & 1) == 0 || bits < bracket.Low)
                return;
            uint offset = Math.Min(bits, bracket.High) - bracket.Low;
            int bin = bracket.First + (int)(offset >> bracket.Shift);
            uint trace = MagnitudeHistogram.Trace(offset, bracket.Shift);
            if (bits > bracket.High)
            {
                // What lies above has the bin after the last, where places do not matter.
                bin++;
                trace = 0;
            }

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
