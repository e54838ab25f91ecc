namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        for (int i = 0; i < chunk.Length; i++)
        {
            if (Element.Magnitude(chunk, chunk.Sources[0], i) != bits)
                continue;
            if (rank == 0)
                return chunk.First + i;
            rank--;
        }

        return -1;
    }
}
