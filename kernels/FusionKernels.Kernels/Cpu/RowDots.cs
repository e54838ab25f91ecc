using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// Dot products of up to 64 rows of stored matrices with up to <see cref="GatedLinear.FewTokens"/> fp32 vectors, kept
/// as two registers of partial sums each: lane j of both together sums the products of the elements congruent to j, in
/// index order, each operation rounded by itself. Matrices side by side are one long row that is added piece by piece,
/// and the lanes are summed once at the end. A sum does not depend on the other rows and vectors computed with it.
/// </summary>
/// <param name="lanes">64-byte aligned memory of <see cref="Scratch"/> bytes.</param>
internal readonly unsafe struct RowDots<T>(float* lanes)
    where T : struct, ICpuLanes<T>
{
    /// <summary>Most rows at once.</summary>
    public const int Rows = 64;

    /// <summary>Bytes of scratch memory.</summary>
    public static nint Scratch => Rows * GatedLinear.FewTokens * Lanes * sizeof(float);

    // How far ahead memory is asked for. Measured on bf16 rows of 8 KB: on one core 6 % more time than reading alone,
    // 35 % without; on two, which share the memory, as much as reading alone, 8 % without.
    private const int AheadBytes = 8192;

    private static int Lanes => 2 * T.Count;

    /// <summary>Begins anew with so many vectors.</summary>
    public void Clear(int vectors) => new Span<float>(lanes, vectors * Rows * Lanes).Clear();

    /// <summary>Adds the products of rows with vectors of as many elements.</summary>
    /// <param name="rows">At most <see cref="Rows"/> rows, stored by rows.</param>
    /// <param name="vectors">The first vector.</param>
    /// <param name="stride">Elements from one vector to the next.</param>
    /// <param name="first">Whose sums the first vector belongs to.</param>
    /// <param name="count">How many vectors.</param>
    public void Add(in Matrix rows, float* vectors, nint stride, int first, int count)
    {
        var products = new Products(rows, vectors, stride, lanes + (first * Rows * Lanes), count);
        Codec.Select(rows.Data.Type, ref products);
    }

    /// <summary>Writes the dot products, a row for each vector.</summary>
    public void Write(float* target, nint stride, int rows, int vectors)
    {
        for (int vector = 0; vector < vectors; vector++)
        {
            for (int row = 0; row < rows; row++)
            {
                float* sums = lanes + (((vector * Rows) + row) * Lanes);
                target[(vector * stride) + row] = T.Sum(Load(sums) + Load(sums + T.Count));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Load(float* source) => T.Load((byte*)source, sizeof(float));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(T value, float* destination) => T.Store(value, (byte*)destination, sizeof(float));

    private readonly struct Products(Matrix rows, float* vectors, nint stride, float* sums, int count) : ICodecAction
    {
        // Row after row, as they lie in memory: measured, one stream of reads is twice as fast as two or four. Four
        // vectors share what is read of a row; single ones find it in the cache.
        // SAFETY: rows and vectors have whole pairs of registers below length and single elements up to the row's end;
        // sums has 64 pairs of registers for each vector.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            nint length = rows.Columns, whole = length - (length % Lanes);
            for (int row = 0; row < rows.Rows; row++)
            {
                byte* elements = (byte*)rows.Data.Address + (row * rows.RowStride * TCodec.Size);
                int vector = 0;
                for (; vector <= count - 4; vector += 4)
                    AddFour<TCodec>(elements, vectors + (vector * stride), stride, whole, Sums(row, vector));
                for (; vector < count; vector++)
                    AddOne<TCodec>(elements, vectors + (vector * stride), whole, Sums(row, vector));
                if (whole < length)
                    AddRest<TCodec>(elements, whole, length, row);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddOne<TCodec>(byte* row, float* vector, nint length, float* sums)
            where TCodec : struct, ICodec
        {
            T even = Load(sums), odd = Load(sums + T.Count);
            for (nint i = 0; i < length; i += Lanes)
            {
                even += Element<TCodec>(row, i) * Load(vector + i);
                odd += Element<TCodec>(row, i + T.Count) * Load(vector + i + T.Count);
            }

            Store(even, sums);
            Store(odd, sums + T.Count);
        }

        // Digits are vectors.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddFour<TCodec>(byte* row, float* vectors, nint stride, nint length, float* sums)
            where TCodec : struct, ICodec
        {
            nint next = Rows * Lanes;
            float* sums1 = sums + next, sums2 = sums1 + next, sums3 = sums2 + next;
            float* vectors1 = vectors + stride, vectors2 = vectors1 + stride, vectors3 = vectors2 + stride;
            T even0 = Load(sums), even1 = Load(sums1), even2 = Load(sums2), even3 = Load(sums3);
            T odd0 = Load(sums + T.Count), odd1 = Load(sums1 + T.Count);
            T odd2 = Load(sums2 + T.Count), odd3 = Load(sums3 + T.Count);
            for (nint i = 0; i < length; i += Lanes)
            {
                T even = Element<TCodec>(row, i), odd = Element<TCodec>(row, i + T.Count);
                even0 += even * Load(vectors + i);
                odd0 += odd * Load(vectors + i + T.Count);
                even1 += even * Load(vectors1 + i);
                odd1 += odd * Load(vectors1 + i + T.Count);
                even2 += even * Load(vectors2 + i);
                odd2 += odd * Load(vectors2 + i + T.Count);
                even3 += even * Load(vectors3 + i);
                odd3 += odd * Load(vectors3 + i + T.Count);
            }

            Store(even0, sums);
            Store(odd0, sums + T.Count);
            Store(even1, sums1);
            Store(odd1, sums1 + T.Count);
            Store(even2, sums2);
            Store(odd2, sums2 + T.Count);
            Store(even3, sums3);
            Store(odd3, sums3 + T.Count);
        }

        // Element by element into the lanes in which whole registers would have brought them.
        private void AddRest<TCodec>(byte* elements, nint first, nint length, int row)
            where TCodec : struct, ICodec
        {
            for (nint i = first; i < length; i++)
            {
                float element = Codec.Load<TCodec, F32x1>(elements + (i * TCodec.Size)).Value;
                for (int vector = 0; vector < count; vector++)
                    Sums(row, vector)[i - first] += element * vectors[(vector * stride) + i];
            }
        }

        private float* Sums(int row, int vector) => sums + (((vector * Rows) + row) * Lanes);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static T Element<TCodec>(byte* row, nint index)
            where TCodec : struct, ICodec
        {
            byte* elements = row + (index * TCodec.Size);
            if (Sse.IsSupported)
                Sse.Prefetch0(elements + AheadBytes); // may name any address
            return Codec.Load<TCodec, T>(elements);
        }
    }
}
