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
        Span<double> sums = new double[models * Reduction.Lanes];
        var tile = new DeltaTiles<T>(chunk, (float*)Scratch(DeltaTiles<T>.Scratch * sizeof(float)));
        int next = 0;
        while (tile.Next())
        {
            for (int model = 0; model < models; model++)
                AddMagnitudes<TWide>(tile.Values(model), tile.Padded, sums.Slice(model * Reduction.Lanes, Reduction.Lanes));
            if (!tile.EndsBlock)
                continue;
            for (int model = 0; model < models; model++)
                partials[next++] = Reduction.FoldLanes(sums.Slice(model * Reduction.Lanes, Reduction.Lanes));
            sums.Clear();
        }
    }

    private static void AddMagnitudes<TWide>(float* values, int length, Span<double> lanes)
        where TWide : struct, IWideLanes<TWide>
    {
        fixed (double* sums = lanes)
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
    }
}
