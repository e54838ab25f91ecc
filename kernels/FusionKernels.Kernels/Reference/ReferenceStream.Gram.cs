namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Gram(in Chunk chunk, Span<double> partials)
    {
        int models = chunk.Sources.Length;
        Reduction.Check(chunk, models * (models + 1) / 2, partials.Length);
        int next = 0;
        double[] lanes = new double[Reduction.Lanes];
        for (int start = 0; start < chunk.Length; start += Reduction.Block)
        {
            int end = Math.Min(chunk.Length, start + Reduction.Block);
            for (int i = 0; i < models; i++)
            {
                for (int j = i; j < models; j++)
                {
                    Array.Clear(lanes);
                    for (int e = start; e < end; e++)
                    {
                        double left = Element.Value(chunk, chunk.Sources[i], e);
                        lanes[e % Reduction.Lanes] += left * Element.Value(chunk, chunk.Sources[j], e);
                    }

                    partials[next++] = Reduction.FoldLanes(lanes);
                }
            }
        }
    }
}
