using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="ReduceKernels.Reduce"/>.</summary>
internal struct ReduceArguments
{
    /// <summary>The inputs; the first element is a multiple of <see cref="Reduction.Block"/>.</summary>
    public DeviceChunk Chunk;

    /// <summary>The two models of each sum.</summary>
    public ArrayView<Words2> Terms;

    /// <summary>Room for <see cref="Reduction.Lanes"/> sums of each term and block.</summary>
    public ArrayView<double> Lanes;

    /// <summary>Receives a row of sums for each block.</summary>
    public ArrayView<double> Partials;

    /// <summary>Groups of eight elements of every model that fit into shared memory; even.</summary>
    public int Tile;
}

/// <summary>Arguments of <see cref="ReduceKernels.Compare"/>.</summary>
internal struct CompareArguments
{
    /// <summary>Both sides' stored elements.</summary>
    public ArrayView<byte> Left, Right;

    /// <summary>Number of elements.</summary>
    public int Length;

    /// <summary>Receives <see cref="Reduction.Lanes"/> of each block.</summary>
    public ArrayView<DifferenceLane> Lanes;
}

/// <summary>What one lane of a block contributes to a <see cref="Difference"/>.</summary>
internal struct DifferenceLane
{
    /// <summary>Counts.</summary>
    public long Changed, NonFinite;

    /// <summary>Largest |left - right|.</summary>
    public double MaxAbsolute;

    /// <summary>The sums.</summary>
    public double LeftSquared, RightSquared, Dot, DeltaSquared;

    /// <summary>To 64 bytes: a view counts the place where it begins in elements.</summary>
    public long Padding;
}

/// <summary>What a reduction sums.</summary>
internal interface ITerm
{
    /// <summary>Adds the term of two models' values.</summary>
    static abstract double Add(double sum, float left, float right);
}

/// <summary>left * right, exact in fp64, so that it does not matter whether a compiler fuses it with the sum.</summary>
internal readonly struct ProductTerm : ITerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Add(double sum, float left, float right) => sum + ((double)left * right);
}

/// <summary>|left|.</summary>
internal readonly struct MagnitudeTerm : ITerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Add(double sum, float left, float right) => sum + Lane.Abs(new Lane(left)).Value;
}

/// <summary>The reduce family, in the fixed tree of <see cref="Reduction"/>.</summary>
internal static class ReduceKernels
{
    // A group of threads takes a block of the tree. It brings a tile of every model's values to shared memory, then
    // each thread carries some of the block's lanes over it: 16 lanes a term, neighbours next to each other. At the
    // block's end a thread folds the lanes of a term. Elements beyond the last are zeros, which change no sum.
    public static void Reduce<TIn, TTerm>(ReduceArguments arguments)
        where TIn : struct, ICodec
        where TTerm : struct, ITerm
    {
        var chunk = arguments.Chunk;
        var values = SharedMemory.GetDynamic<float>();
        int terms = arguments.Terms.IntLength, width = 8 * arguments.Tile;
        long rows = ((long)chunk.Length + Reduction.Block - 1) / Reduction.Block;
        for (long row = Grid.IdxX; row < rows; row += Grid.DimX)
        {
            var lanes = arguments.Lanes.SubView(row * terms * Reduction.Lanes, terms * Reduction.Lanes);
            for (int i = Group.IdxX; i < terms * Reduction.Lanes; i += Group.DimX)
                lanes[i] = 0;

            long end = Math.Min(chunk.Groups, (row + 1) * (Reduction.Block / 8));
            for (long start = row * (Reduction.Block / 8); start < end; start += arguments.Tile)
            {
                int groups = (int)Math.Min(arguments.Tile, end - start);
                Group.Barrier();
                for (int item = Group.IdxX; item < groups * chunk.Sources.IntLength; item += Group.DimX)
                {
                    int model = item / groups, place = item % groups;
                    uint members = chunk.Members(start + place);
                    Put(values, (model * width) + (8 * place), chunk.Value<TIn>(model, start + place), members);
                }

                Group.Barrier();
                for (int i = Group.IdxX; i < terms * Reduction.Lanes; i += Group.DimX)
                {
                    Words2 term = arguments.Terms[i / Reduction.Lanes];
                    int left = (int)term.X * width, right = (int)term.Y * width;
                    double sum = lanes[i];
                    for (int e = i % Reduction.Lanes; e < 8 * groups; e += Reduction.Lanes)
                        sum = TTerm.Add(sum, values[left + e], values[right + e]);
                    lanes[i] = sum;
                }
            }

            Group.Barrier();
            for (int term = Group.IdxX; term < terms; term += Group.DimX)
                arguments.Partials[(row * terms) + term] = Fold(lanes.SubView(term * Reduction.Lanes, Reduction.Lanes));
        }
    }

    /// <summary>A thread takes one lane of a block; the host folds them.</summary>
    public static void Compare<TCodec>(CompareArguments arguments)
        where TCodec : struct, ICodec
    {
        for (long item = Grid.LongGlobalIndex.X; item < arguments.Lanes.Length; item += GridStride.X)
        {
            long block = item / Reduction.Lanes * Reduction.Block;
            long end = Math.Min(arguments.Length, block + Reduction.Block);
            var lane = default(DifferenceLane);
            for (long e = block + (item % Reduction.Lanes); e < end; e += Reduction.Lanes)
            {
                var left = StoredOne.Read<TCodec>(arguments.Left, e);
                var right = StoredOne.Read<TCodec>(arguments.Right, e);
                lane.Changed += left.Bits == right.Bits ? 0 : 1;
                Lane a = left.Decode<TCodec>(), b = right.Decode<TCodec>();
                if (!IsFinite(a) || !IsFinite(b))
                {
                    lane.NonFinite++;
                    continue;
                }

                double x = a.Value, y = b.Value, delta = x - y, magnitude = delta < 0 ? -delta : delta;
                lane.MaxAbsolute = magnitude > lane.MaxAbsolute ? magnitude : lane.MaxAbsolute;
                lane.LeftSquared = Exact.Add(lane.LeftSquared, x * x);
                lane.RightSquared = Exact.Add(lane.RightSquared, y * y);
                lane.Dot = Exact.Add(lane.Dot, x * y);
                lane.DeltaSquared = Exact.Add(lane.DeltaSquared, delta * delta);
            }

            arguments.Lanes[item] = lane;
        }
    }

    private static bool IsFinite(Lane value) => Lane.Abs(value).Bits < 0x7F80_0000;

    private static double Fold(ArrayView<double> lanes)
    {
        for (int half = Reduction.Lanes / 2; half > 0; half /= 2)
        {
            for (int lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        }

        return lanes[0];
    }

    private static void Put(ArrayView<float> values, int at, Eight value, uint members)
    {
        Put(values, at, value.Low, members);
        Put(values, at + 4, value.High, members >> 4);
    }

    private static void Put(ArrayView<float> values, int at, Four value, uint members)
    {
        values[at] = (members & 1) != 0 ? value.Low.Low.Value : 0;
        values[at + 1] = (members & 2) != 0 ? value.Low.High.Value : 0;
        values[at + 2] = (members & 4) != 0 ? value.High.Low.Value : 0;
        values[at + 3] = (members & 8) != 0 ? value.High.High.Value : 0;
    }
}
