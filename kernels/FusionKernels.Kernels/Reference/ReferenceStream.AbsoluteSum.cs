namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials)
    {
        Reduction.Check(chunk, chunk.Sources.Length, partials.Length);
        int next = 0;
        double[] lanes = new double[Reduction.Lanes];
        for (int start = 0; start < chunk.Length; start += Reduction.Block)
        {
            int end = Math.Min(chunk.Length, start + Reduction.Block);
            foreach (Source source in chunk.Sources)
            {
                Array.Clear(lanes);
                for (int e = start; e < end; e++)
                    lanes[e % Reduction.Lanes] += Math.Abs((double)Element.Value(chunk, source, e));
                partials[next++] = Reduction.FoldLanes(lanes);
            }
        }
    }
}
