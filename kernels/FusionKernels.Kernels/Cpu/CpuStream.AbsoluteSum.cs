using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials)
    {
        if (T.Count == 16)
            AbsoluteSum<F64x8>(chunk, partials);
        else if (T.Count == 8)
            AbsoluteSum<F64x4>(chunk, partials);
        else
            AbsoluteSum<F64x2>(chunk, partials);
    }

    // As in Gram: 16 accumulators per model, kept from tile to tile of a block; the padding adds +0.
    private void AbsoluteSum<TWide>(in Chunk chunk, Span<double> partials)
        where TWide : struct, IWideLanes<TWide>
    {
        int models = chunk.Sources.Length;
        Reduction.Check(chunk, models, partials.Length);
        nint tileBytes = DeltaTiles<T>.Scratch * sizeof(float);
        byte* scratch = Scratch(tileBytes + ((nint)models * Reduction.Lanes * sizeof(double)));
        double* sums = (double*)(scratch + tileBytes);
        new Span<double>(sums, models * Reduction.Lanes).Clear();
        var tile = new DeltaTiles<T>(chunk, (float*)scratch);
        int next = 0;
        while (tile.Next())
        {
            for (int model = 0; model < models; model++)
                AddMagnitudes<TWide>(tile.Values(model), tile.Padded, sums + (model * Reduction.Lanes));
            if (tile.EndsBlock)
                FoldRows(sums, models, partials, ref next);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddMagnitudes<TWide>(float* values, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int strip = 0; strip < Reduction.Lanes; strip += 2 * TWide.Count)
        {
            TWide lower = TWide.Load(sums + strip), upper = TWide.Load(sums + strip + TWide.Count);
            for (int i = strip; i < length; i += Reduction.Lanes)
            {
                lower += TWide.Abs(TWide.Load(values + i));
                upper += TWide.Abs(TWide.Load(values + i + TWide.Count));
            }

            TWide.Store(lower, sums + strip);
            TWide.Store(upper, sums + strip + TWide.Count);
        }
    }

    /// <summary>Ends a block: folds each row of 16 lanes into the next partial sum and clears it.</summary>
    private static void FoldRows(double* sums, int rows, Span<double> partials, ref int next)
    {
        for (int row = 0; row < rows; row++)
            partials[next++] = Reduction.FoldLanes(new Span<double>(sums + (row * Reduction.Lanes), Reduction.Lanes));
        new Span<double>(sums, rows * Reduction.Lanes).Clear();
    }
}
