using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    /// <summary>
    /// One row of <see cref="WriteRankedMask"/>. Most elements need no rank: a word below the smallest bound of all
    /// ranks keeps, one not below the largest drops. The others, 2 epsilon of all, are compared with the bounds of the
    /// ranks that their magnitude may have, which a histogram of the row over 256 bins of magnitudes gives. Only where
    /// the word lies between the bounds of a bin's first and last rank, which is one in a hundred of those, the exact
    /// rank is wanted. Even bins hold one magnitude each, a multiple of a step, so there the rank follows from how many
    /// of the bin come before; differences of bf16 numbers lie there mostly. Odd bins hold what is between two
    /// multiples, and there the row is searched. A row of 2048 deltas is drawn at 0.8 10^9 elements a second and core,
    /// its words alone at 5.
    /// </summary>
    private readonly ref struct RankedRow
    {
        private const int Bins = 256, Tables = 4;

        /// <summary>Rows shorter than this are searched without a histogram, which costs as much.</summary>
        private const int ShortRow = 128;

        /// <summary>Searches of a row that cost as much as sorting it.</summary>
        private const int MostSearches = 512;

        /// <summary>
        /// Bins reach up to this multiple of the row's mean magnitude, 4 deviations of normal deltas, or to twice that.
        /// </summary>
        private const float Reach = 5;

        /// <summary>The key of all magnitudes where there are no bins.</summary>
        private const byte AnyMagnitude = 1;

        private readonly int _columns, _words;
        private readonly uint* _magnitudes, _draws, _open, _openDraws, _counts, _ranks, _passed, _bounds;
        private readonly ulong* _kept, _middle, _decided;
        private readonly byte* _keys;

        /// <summary>Lays the row out in memory of <see cref="Bytes"/>.</summary>
        public RankedRow(byte* memory, int columns)
        {
            _columns = columns;
            _words = (columns + 63) / 64;
            nint elements = Room(columns);
            _magnitudes = (uint*)memory;
            _draws = _magnitudes + elements;
            _open = _draws + elements;
            _openDraws = _open + elements;
            _counts = _openDraws + elements;
            _ranks = _counts + (Tables * Bins);
            _passed = _ranks + Bins;
            _bounds = _passed + Bins;
            _kept = (ulong*)(_bounds + Bins);
            _middle = _kept + _words + 1;
            _decided = _middle + _words + 1;
            _keys = (byte*)(_decided + _words + 1);
            new Span<uint>(_magnitudes + columns, (int)(elements - columns)).Fill(uint.MaxValue);
            new Span<byte>(_keys, (int)elements).Fill(AnyMagnitude);
            _bounds[AnyMagnitude] = 0xFFFF_0000;
        }

        /// <summary>Memory that a row needs.</summary>
        public static nint Bytes(int columns) =>
            (Room(columns) * ((4 * sizeof(uint)) + 1)) + ((Tables + 3) * Bins * sizeof(uint))
            + (3 * ((columns / 64) + 2) * sizeof(ulong));

        /// <summary>Brings the magnitudes of a row whose elements follow each other.</summary>
        /// <param name="data">The model's elements.</param>
        /// <param name="basis">The base's, or <c>default</c>.</param>
        public void Bring(Operand data, Operand basis) =>
            MagnitudeTile.Write<T>(data, basis, _columns, _magnitudes);

        /// <summary>Brings the magnitudes of a row whose elements lie apart.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Bring(uint* magnitudes, int stride)
        {
            for (int j = 0; j < _columns; j++)
                _magnitudes[j] = magnitudes[(nint)j * stride];
        }

        /// <summary>Decides every element of the row that was brought.</summary>
        /// <param name="words">Their words, <paramref name="stride"/> apart; a register more can be read.</param>
        /// <param name="stride">Distance of neighbours.</param>
        /// <param name="keepBelow">The bounds by rank; one more number can be read at either end.</param>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Decide(uint* words, int stride, uint* keepBelow)
        {
            if (stride != 1)
            {
                for (int j = 0; j < _columns; j++)
                    _draws[j] = words[(nint)j * stride];
                words = _draws;
            }

            uint first = keepBelow[0], last = keepBelow[_columns - 1];
            uint lowest = Math.Min(first, last), highest = Math.Max(first, last);
            if (_columns >= ShortRow)
            {
                WriteKeys();
                CountKeys();
                BoundBins(keepBelow, lowest);
            }

            int middle = Split(words, lowest, highest);
            int open = DecideByBins(middle);
            Scatter(open);
            if (open > 0)
                DecideByRank(open, lowest, keepBelow);
        }

        /// <summary>Adds the row's bits to a run that has zeros there.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void AddTo(byte* bits, int first, int stride)
        {
            for (int word = 0; word < _words; word++)
            {
                ulong kept = _kept[word];
                if (stride == 1)
                {
                    int at = first + (64 * word), shift = at & 7;
                    byte* target = bits + (at >> 3);
                    Unsafe.WriteUnaligned(target, Unsafe.ReadUnaligned<ulong>(target) | (kept << shift));
                    if (shift != 0)
                        target[8] |= (byte)(kept >> (64 - shift));
                    continue;
                }

                for (; kept != 0; kept &= kept - 1)
                {
                    int at = first + (((64 * word) + BitOperations.TrailingZeroCount(kept)) * stride);
                    bits[at >> 3] |= (byte)(1 << (at & 7));
                }
            }
        }

        private static nint Room(int columns) => ((nint)columns + 127) / 64 * 64;

        // With r the nearest multiple of the step, key = 2 r for a magnitude of r steps, 2 r + 1 for one above and 2 r
        // - 1 for one below; r comes from a sum with 2^23. Any step is right, so it comes from every eighth register;
        // as a power of two it leaves all products exact. The clamp compares bits, so that NaN and infinity get the
        // last key; that is odd.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void WriteKeys()
        {
            T sum = T.Splat(0);
            int sampled = 0;
            for (int j = 0; j <= _columns - T.Count; j += 8 * T.Count, sampled += T.Count)
                sum += T.Load((byte*)(_magnitudes + j), sizeof(float));
            float* lanes = stackalloc float[T.Count];
            T.Store(sum, (byte*)lanes, sizeof(float));
            float total = 0;
            for (int lane = 0; lane < T.Count; lane++)
                total += lanes[lane];
            const int Multiples = Bins / 2;
            float width = Reach * total / sampled / Multiples;
            int exponent = float.IsNormal(width) ? Math.Clamp(MathF.ILogB(width) + 1, -100, 100) : 0;

            T step = T.Splat(MathF.ScaleB(1, exponent)), perStep = T.Splat(MathF.ScaleB(1, -exponent));
            T zero = T.Splat(0), one = T.Splat(1), shift = T.Splat(1 << 23);
            T most = T.Splat(MathF.ScaleB(Multiples - 0.5f, exponent));
            for (int j = 0; j < _columns; j += T.Count)
            {
                T magnitude = T.Load((byte*)(_magnitudes + j), sizeof(float));
                T clamped = T.WhereBitsGreater(magnitude, most, most, magnitude);
                T nearest = (clamped * perStep) + shift - shift;
                T multiple = nearest * step;
                T above = T.WhereGreater(clamped, multiple, one, zero);
                T below = T.WhereGreater(multiple, clamped, one, zero);
                T.Store(nearest + nearest + above - below + shift, _keys + j, sizeof(byte));
            }
        }

        // In four tables, so that equal neighbours do not wait for each other.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void CountKeys()
        {
            uint* first = _counts, second = first + Bins, third = second + Bins, fourth = third + Bins;
            new Span<uint>(first, Tables * Bins).Clear();
            byte* key = _keys, end = key + _columns;
            for (; key <= end - Tables; key += Tables)
            {
                first[key[0]]++;
                second[key[1]]++;
                third[key[2]]++;
                fourth[key[3]]++;
            }

            for (; key < end; key++)
                first[*key]++;
        }

        // Three loops over the bins: their sizes from the four tables, the bounds of their first and last ranks in
        // place of two of those, and what the bounds say about the upper 16 bits of a draw above the lowest one: below
        // the lower half of the result it keeps, beyond the upper half it drops, else it is open. The halves are
        // rounded outwards, so that they never decide wrongly.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void BoundBins(uint* keepBelow, uint lowest)
        {
            bool rises = keepBelow[0] <= keepBelow[_columns - 1];
            uint* counts = _counts, first = counts, last = counts + Bins, ranks = _ranks;
            uint* lower = rises ? first : last, upper = rises ? last : first;
            for (int bin = 0; bin < Bins; bin += T.Count)
            {
                T sum = T.Load((byte*)(counts + bin), sizeof(uint));
                for (int table = 1; table < Tables; table++)
                    sum = T.AddBits(sum, T.Load((byte*)(counts + (table * Bins) + bin), sizeof(uint)));
                T.Store(sum, (byte*)(ranks + bin), sizeof(uint));
            }

            uint rank = 0;
            for (int bin = 0; bin < Bins; bin++)
            {
                uint count = ranks[bin];
                ranks[bin] = rank;
                first[bin] = keepBelow[rank];
                rank += count;
                last[bin] = keepBelow[(nint)rank - 1];
            }

            T least = T.SplatBits(0 - lowest), up = T.SplatBits(0xFF - lowest), most = T.SplatBits(0xFFFF);
            for (int bin = 0; bin < Bins; bin += T.Count)
            {
                T below = T.AddBits(T.Load((byte*)(lower + bin), sizeof(uint)), least) >>> 8;
                T above = T.AddBits(T.Load((byte*)(upper + bin), sizeof(uint)), up) >>> 8;
                below = T.WhereBitsGreater(below, most, most, below);
                above = T.WhereBitsGreater(above, most, most, above);
                T.Store(below | (above << 16), (byte*)(_bounds + bin), sizeof(uint));
            }
        }

        // A word of 64 elements per turn: bits of what any rank keeps, and of what depends on the rank. The draws of
        // the latter are packed at the front, as 24 bits above the lowest bound with the element's key below them.
        // Lanes beyond the row may be packed, last.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private int Split(uint* words, uint lowest, uint highest)
        {
            T low = T.SplatBits(lowest), high = T.SplatBits(highest), upper = T.SplatBits(0xFFFF_FF00);
            T from = T.SplatBits(lowest << 8), span = T.SplatBits(((highest - lowest) << 8) - 1);
            uint* draws = _draws;
            int packed = 0, found = 0;
            for (int word = 0; word < _words; word++)
            {
                ulong kept = 0, middle = 0;
                for (int j = 0; j < 64; j += T.Count)
                {
                    T draw = T.Load((byte*)(words + (64 * word) + j), sizeof(uint));
                    T key = T.Load(_keys + (64 * word) + j, sizeof(byte));
                    T bits = draw >>> 8;
                    kept |= (ulong)T.BitsGreater(low, bits) << j;
                    middle |= (ulong)T.BitsGreater(high, bits) << j;
                    packed += T.PackOffsets((draw & upper) | key, from, span, draws + packed);
                }

                int elements = _columns - (64 * word);
                ulong present = elements < 64 ? (1ul << elements) - 1 : ulong.MaxValue;
                _kept[word] = kept &= present;
                _middle[word] = middle &= present & ~kept;
                found += BitOperations.PopCount(middle);
            }

            return found;
        }

        // 64 draws per turn; what their bins leave open is noted by its place.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private int DecideByBins(int middle)
        {
            uint* draws = _draws, bounds = _bounds, places = _open;
            int open = 0;
            for (int start = 0; start < middle; start += 64)
            {
                ulong kept = 0, undecided = 0;
                int i = 0, end = Math.Min(64, middle - start);
                for (; Avx2.IsSupported && i <= end - 8; i += 8)
                {
                    Vector256<uint> entry = Vector256.Load(draws + start + i), draw = entry >>> 16;
                    Vector256<int> key = (entry & Vector256.Create(0xFFu)).AsInt32();
                    Vector256<uint> bound = Avx2.GatherVector256(bounds, key, sizeof(uint));
                    Vector256<uint> lower = bound & Vector256.Create(0xFFFFu);
                    uint keeps = Vector256.LessThan(draw, lower).ExtractMostSignificantBits();
                    uint drops = Vector256.GreaterThan(draw, bound >>> 16).ExtractMostSignificantBits();
                    kept |= (ulong)keeps << i;
                    undecided |= (ulong)(byte)~(keeps | drops) << i;
                }

                for (; i < end; i++)
                {
                    uint entry = draws[start + i], draw = entry >> 16, bound = bounds[(byte)entry];
                    bool keeps = draw < (bound & 0xFFFF), drops = draw > bound >> 16;
                    kept |= (keeps ? 1ul : 0) << i;
                    undecided |= (keeps || drops ? 0ul : 1) << i;
                }

                _decided[start / 64] = kept;
                for (; undecided != 0; undecided &= undecided - 1)
                    places[open++] = (uint)(start + BitOperations.TrailingZeroCount(undecided));
            }

            return open;
        }

        // Gives the decisions, which follow each other, back to their elements, and finds the elements whose places are
        // open.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Scatter(int open)
        {
            int offset = 0, next = 0;
            for (int word = 0; word < _words; word++)
            {
                ulong middle = _middle[word];
                int from = offset / 64, shift = offset & 63, count = BitOperations.PopCount(middle);
                ulong decided = _decided[from] >> shift;
                if (shift != 0)
                    decided |= _decided[from + 1] << (64 - shift);
                _kept[word] |= Deposit(decided, middle);
                for (; next < open && _open[next] < offset + count; next++)
                {
                    uint place = _open[next];
                    ulong single = Deposit(1ul << (int)(place - offset), middle);
                    _open[next] = (uint)((64 * word) + BitOperations.TrailingZeroCount(single));
                    _openDraws[next] = _draws[place];
                }

                offset += count;
            }
        }

        // In index order. Of the one magnitude of an even bin those are counted that lie between the last open element
        // and this one. In an odd bin the row is searched, or sorted where so many searches would take longer.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void DecideByRank(int open, uint lowest, uint* keepBelow)
        {
            new Span<uint>(_passed, Bins).Clear();
            uint searches = 0;
            for (int i = 0; i < open; i++)
                searches += _openDraws[i] & 1;
            ulong[]? sorted = searches > MostSearches ? Sorted() : null;
            for (int i = 0; i < open; i++)
            {
                int index = (int)_open[i], key = (byte)_openDraws[i];
                uint rank;
                if (key % 2 == 0)
                {
                    int passed = (int)_passed[key];
                    _ranks[key] += (uint)new ReadOnlySpan<byte>(_keys + passed, index - passed).Count((byte)key);
                    _passed[key] = (uint)index;
                    rank = _ranks[key];
                }
                else
                {
                    rank = sorted is null
                        ? Rank(_magnitudes[index], index)
                        : (uint)Array.BinarySearch(sorted, ((ulong)_magnitudes[index] << 32) | (uint)index);
                }

                if ((_openDraws[i] >> 8) + lowest < keepBelow[rank])
                    _kept[index >> 6] |= 1ul << (index & 63);
            }
        }

        private ulong[] Sorted()
        {
            ulong[] row = new ulong[_columns];
            for (int j = 0; j < row.Length; j++)
                row[j] = ((ulong)_magnitudes[j] << 32) | (uint)j;
            Array.Sort(row);
            return row;
        }

        // Elements before the place count up to the magnitude, later ones below it. What follows the row exceeds every
        // magnitude.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private uint Rank(uint magnitude, int place)
        {
            T sought = T.SplatBits(magnitude);
            uint* row = _magnitudes;
            int j = 0, above = 0, below = 0;
            for (; j <= place - T.Count; j += T.Count)
                above += BitOperations.PopCount(T.BitsGreater(T.Load((byte*)(row + j), sizeof(uint)), sought));
            int whole = j - above;
            for (; j < place; j++)
                whole += row[j] <= magnitude ? 1 : 0;
            for (; j < _columns && (j & (T.Count - 1)) != 0; j++)
                whole += row[j] < magnitude ? 1 : 0;
            for (; j < _columns; j += T.Count)
                below += BitOperations.PopCount(T.BitsGreater(sought, T.Load((byte*)(row + j), sizeof(uint))));
            return (uint)(whole + below);
        }

        /// <summary>Puts the lowest bits of a value to the set bits of a mask, in order.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static ulong Deposit(ulong value, ulong mask)
        {
            if (Bmi2.X64.IsSupported)
                return Bmi2.X64.ParallelBitDeposit(value, mask);
            ulong result = 0;
            for (; mask != 0; mask &= mask - 1, value >>= 1)
                result |= (value & 1) * (mask & (0 - mask));
            return result;
        }
    }
}
