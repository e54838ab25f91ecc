using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Gram(in Chunk chunk, Span<double> partials)
    {
        if (T.Count == 16)
            Gram<F64x8>(chunk, partials);
        else if (T.Count == 8)
            Gram<F64x4>(chunk, partials);
        else
            Gram<F64x2>(chunk, partials);
    }

    // Tile by tile: each model's values are widened to fp64 once, then every pair of models adds its products to its
    // own 16 accumulators. Products of fp32 values are exact in fp64. The padding of a last tile adds +0 to sums that
    // began as +0, which changes none of them.
    private void Gram<TWide>(in Chunk chunk, Span<double> partials)
        where TWide : struct, IWideLanes<TWide>
    {
        int models = chunk.Sources.Length, pairs = models * (models + 1) / 2;
        Reduction.Check(chunk, pairs, partials.Length);

        int valueCount = models * DeltaTiles<T>.Most, sumCount = pairs * Reduction.Lanes;
        nint tileBytes = DeltaTiles<T>.Scratch * sizeof(float);
        byte* scratch = Scratch(tileBytes + ((nint)(valueCount + sumCount) * sizeof(double)));
        double* values = (double*)(scratch + tileBytes), sums = values + valueCount;
        new Span<double>(sums, sumCount).Clear();
        var tile = new DeltaTiles<T>(chunk, (float*)scratch);
        int next = 0;
        while (tile.Next())
        {
            if (models == 1)
            {
                AddSquares<TWide>(tile.Values(0), tile.Padded, sums);
            }
            else
            {
                for (int model = 0; model < models; model++)
                    Widen<TWide>(tile.Values(model), values + (model * DeltaTiles<T>.Most), tile.Padded);
                AddPairs<TWide>(values, models, tile.Padded, sums);
            }

            if (tile.EndsBlock)
                FoldRows(sums, pairs, partials, ref next);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen<TWide>(float* values, double* wide, int length)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int i = 0; i < length; i += TWide.Count)
            TWide.Store(TWide.Load(values + i), wide + i);
    }

    /// <summary>What <see cref="AddPair"/> does with one model, whose values are widened as they are read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddSquares<TWide>(float* values, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int strip = 0; strip < Reduction.Lanes; strip += 2 * TWide.Count)
        {
            TWide lower = TWide.Load(sums + strip), upper = TWide.Load(sums + strip + TWide.Count);
            for (int i = strip; i < length; i += Reduction.Lanes)
            {
                TWide left = TWide.Load(values + i), right = TWide.Load(values + i + TWide.Count);
                lower = TWide.AddExactProduct(lower, left, left);
                upper = TWide.AddExactProduct(upper, right, right);
            }

            TWide.Store(lower, sums + strip);
            TWide.Store(upper, sums + strip + TWide.Count);
        }
    }

    /// <summary>
    /// The upper triangle by rows; two columns of a row at a time, because one pair's chain of sums is bound by
    /// latency.
    /// </summary>
    private static void AddPairs<TWide>(double* values, int models, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int i = 0; i < models; i++)
        {
            double* row = values + (i * DeltaTiles<T>.Most);
            for (int j = i; j < models; j += 2)
            {
                double* column = values + (j * DeltaTiles<T>.Most);
                if (j + 1 < models)
                    AddTwoPairs<TWide>(row, column, length, sums);
                else
                    AddPair<TWide>(row, column, length, sums);
                sums += Math.Min(2, models - j) * Reduction.Lanes;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddPair<TWide>(double* row, double* column, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int strip = 0; strip < Reduction.Lanes; strip += 2 * TWide.Count)
        {
            TWide lower = TWide.Load(sums + strip), upper = TWide.Load(sums + strip + TWide.Count);
            for (int i = strip; i < length; i += Reduction.Lanes)
            {
                lower = TWide.AddExactProduct(lower, TWide.Load(row + i), TWide.Load(column + i));
                upper = TWide.AddExactProduct(
                    upper, TWide.Load(row + i + TWide.Count), TWide.Load(column + i + TWide.Count));
            }

            TWide.Store(lower, sums + strip);
            TWide.Store(upper, sums + strip + TWide.Count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTwoPairs<TWide>(double* row, double* column, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        double* column2 = column + DeltaTiles<T>.Most, sums2 = sums + Reduction.Lanes;
        for (int strip = 0; strip < Reduction.Lanes; strip += 2 * TWide.Count)
        {
            TWide lower = TWide.Load(sums + strip), upper = TWide.Load(sums + strip + TWide.Count);
            TWide lower2 = TWide.Load(sums2 + strip), upper2 = TWide.Load(sums2 + strip + TWide.Count);
            for (int i = strip; i < length; i += Reduction.Lanes)
            {
                TWide left = TWide.Load(row + i), right = TWide.Load(row + i + TWide.Count);
                lower = TWide.AddExactProduct(lower, left, TWide.Load(column + i));
                upper = TWide.AddExactProduct(upper, right, TWide.Load(column + i + TWide.Count));
                lower2 = TWide.AddExactProduct(lower2, left, TWide.Load(column2 + i));
                upper2 = TWide.AddExactProduct(upper2, right, TWide.Load(column2 + i + TWide.Count));
            }

            TWide.Store(lower, sums + strip);
            TWide.Store(upper, sums + strip + TWide.Count);
            TWide.Store(lower2, sums2 + strip);
            TWide.Store(upper2, sums2 + strip + TWide.Count);
        }
    }
}
