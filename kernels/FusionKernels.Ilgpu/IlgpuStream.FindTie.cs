using FusionKernels.Kernels.Ilgpu.DeviceCode;
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // The device counts the ties of blocks; the host walks the one that holds the wanted tie.
    public long FindTie(in Chunk chunk, uint bits, ref long rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        chunk.Check();
        var model = chunk.With(chunk.Base, [new Source(chunk.Sources[0].Data)]);
        int most = PieceLength(model, 1);
        for (int start = 0; start < chunk.Length; start += most)
        {
            int length = Math.Min(most, chunk.Length - start);
            int blocks = (length + (2 * GroupElements)) / (SelectKernels.TieBlock * GroupElements) + 1;
            Begin(Room(model, length) + Room<int>(blocks));
            var pass = new TiePass(this, new TieArguments
            {
                Chunk = Bring(model, start, length, InputType(model)),
                Counts = Take<int>(blocks),
                Bits = bits,
            });
            Codec.Select(InputType(model), ref pass);
            int[] counts = new int[blocks];

            // SAFETY: the array has a place for every block.
            fixed (int* host = counts)
                Download(pass.Arguments.Counts, host);
            for (int block = 0; block < blocks; block++)
            {
                if (rank >= counts[block])
                {
                    rank -= counts[block];
                    continue;
                }

                int first = (block * SelectKernels.TieBlock * GroupElements) - pass.Arguments.Chunk.Before;
                int i = start + Math.Max(0, first);
                for (; rank > 0 || Element.Magnitude(model, model.Sources[0], i) != bits; i++)
                    rank -= Element.Magnitude(model, model.Sources[0], i) == bits ? 1 : 0;
                return chunk.First + i;
            }
        }

        return -1;
    }

    private readonly struct TiePass(IlgpuStream stream, TieArguments arguments) : ICodecAction
    {
        public TieArguments Arguments => arguments;

        public void Invoke<TIn>()
            where TIn : struct, ICodec
        {
            stream.Clear(arguments.Counts);
            stream.Launch(SelectKernels.CountTies<TIn>, arguments, arguments.Chunk.Groups);
        }
    }
}
