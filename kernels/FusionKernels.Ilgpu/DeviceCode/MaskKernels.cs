using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="MaskKernels.Write"/>.</summary>
internal struct MaskArguments
{
    /// <summary>The inputs; only the first model counts.</summary>
    public DeviceChunk Chunk;

    /// <summary>Receives a byte for each group.</summary>
    public ArrayView<byte> Bits;
}

/// <summary>Arguments of the kernels that draw by rank.</summary>
internal struct RankedArguments
{
    /// <summary>The magnitudes' bits.</summary>
    public ArrayView<uint> Magnitudes;

    /// <summary>An element of this rank is kept if its word's upper 24 bits are below.</summary>
    public ArrayView<uint> KeepBelow;

    /// <summary>Row after row, magnitude and column.</summary>
    public ArrayView<Words2> Elements;

    /// <summary>Where a pass moves them.</summary>
    public ArrayView<Words2> Sorted;

    /// <summary>Receives the bits, zero before.</summary>
    public ArrayView<uint> Bits;

    /// <summary>The stream of words.</summary>
    public Philox Stream;

    /// <summary>The tensor's index of the first element.</summary>
    public long First;

    /// <summary>Elements of a row.</summary>
    public int Columns;

    /// <summary>Distance of a row's elements.</summary>
    public int Stride;

    /// <summary>The lowest bit of a pass's digit.</summary>
    public int Shift;

    /// <summary>The index of an element within the piece, from its row and column.</summary>
    public readonly int Index(int row, int column) =>
        (((row / Stride * Columns) + column) * Stride) + (row % Stride);
}

/// <summary>Masks as bits.</summary>
internal static class MaskKernels
{
    /// <summary>Bits of a digit of <see cref="Sort"/>.</summary>
    public const int DigitBits = 4;

    private const int Digits = 1 << DigitBits, MostThreads = 256;

    public static void Write<TIn>(MaskArguments arguments)
        where TIn : struct, ICodec
    {
        var chunk = arguments.Chunk;
        for (long group = Grid.LongGlobalIndex.X; group < chunk.Groups; group += GridStride.X)
        {
            DeviceSource source = chunk.Sources[0];
            Eight magnitude = source.Data < 0 ? Eight.Splat(0) : chunk.Magnitude<TIn>(0, group);
            uint kept = Masking.Keep(chunk.Memory, source, chunk.Element + (8 * group), group, magnitude);
            arguments.Bits[group] = (byte)(kept & chunk.Members(group));
        }
    }

    /// <summary>Gathers rows.</summary>
    public static void Gather(RankedArguments arguments)
    {
        for (long i = Grid.LongGlobalIndex.X; i < arguments.Elements.Length; i += GridStride.X)
        {
            int row = (int)(i / arguments.Columns), column = (int)(i % arguments.Columns);
            arguments.Elements[i] = new Words2(arguments.Magnitudes[arguments.Index(row, column)], (uint)column);
        }
    }

    // One pass of a sort of every row by four bits of the magnitudes, stable, so that equal ones stay in order of their
    // columns: a group of threads takes a row, a thread a stretch of it. It counts its digits; the counts become
    // places, all elements of smaller digits first, then those of the same digit in earlier stretches; and it moves its
    // elements there. Places have memory of their own: ILGPU moves a load down to its first use, past a store to the
    // same address.
    public static void Sort(RankedArguments arguments)
    {
        var counts = SharedMemory.Allocate<int>(Digits * MostThreads);
        var places = SharedMemory.Allocate<int>(Digits * MostThreads);
        var sums = SharedMemory.Allocate<int>(MostThreads);
        int thread = Group.IdxX, threads = Group.DimX, columns = arguments.Columns;
        int stretch = (columns + threads - 1) / threads;
        int begin = Math.Min(columns, thread * stretch), end = Math.Min(columns, begin + stretch);
        var from = arguments.Elements.SubView((long)Grid.IdxX * columns, columns);
        var to = arguments.Sorted.SubView((long)Grid.IdxX * columns, columns);
        for (int digit = 0; digit < Digits; digit++)
            counts[(digit * threads) + thread] = 0;
        for (int i = begin; i < end; i++)
            counts[(Digit(from[i], arguments.Shift) * threads) + thread]++;
        Group.Barrier();

        int sum = 0;
        for (int digit = 0; digit < Digits; digit++)
            sum += counts[(thread * Digits) + digit];
        sums[thread] = sum;
        Group.Barrier();

        int place = 0;
        for (int before = 0; before < thread; before++)
            place += sums[before];
        for (int digit = 0; digit < Digits; digit++)
        {
            places[(thread * Digits) + digit] = place;
            place += counts[(thread * Digits) + digit];
        }

        Group.Barrier();
        for (int i = begin; i < end; i++)
        {
            Words2 element = from[i];
            int next = (Digit(element, arguments.Shift) * threads) + thread;
            to[places[next]] = element;
            places[next]++;
        }
    }

    /// <summary>An element's place in its row is its rank, which decides whether its word keeps it.</summary>
    public static void WriteRanked(RankedArguments arguments)
    {
        for (long i = Grid.LongGlobalIndex.X; i < arguments.Elements.Length; i += GridStride.X)
        {
            int row = (int)(i / arguments.Columns), rank = (int)(i % arguments.Columns);
            int index = arguments.Index(row, (int)arguments.Elements[i].Y);
            if (arguments.Stream.Word(arguments.First + index) >> 8 < arguments.KeepBelow[rank])
                Atomic.Or(ref arguments.Bits[index / 32], 1u << (index % 32));
        }
    }

    private static int Digit(Words2 element, int shift) => (int)((element.X >> shift) & (Digits - 1));
}
