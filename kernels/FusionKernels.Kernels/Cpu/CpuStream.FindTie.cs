using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // Whole tiles are counted, as magnitudes within a bracket of one, until the one that holds the wanted tie; that one is
    // walked element by element.
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        chunk.Check();
        Source model = chunk.Sources[0];
        uint* offsets = (uint*)Scratch((TileLength + T.Count) * sizeof(uint));
        for (int start = 0; start < chunk.Length; start += TileLength)
        {
            int length = Math.Min(TileLength, chunk.Length - start);
            Operand basis = chunk.Base.Exists ? chunk.Base.Skip(start) : default;
            int ties = MagnitudeTile.Pack<T>(model.Data.Skip(start), basis, length, bits, bits, offsets).Within;
            if (rank >= ties)
            {
                rank -= ties;
                continue;
            }

            int i = start;
            for (; rank > 0 || Element.Magnitude(chunk, model, i) != bits; i++)
                rank -= Element.Magnitude(chunk, model, i) == bits ? 1 : 0;
            return chunk.First + i;
        }

        return -1;
    }
}
