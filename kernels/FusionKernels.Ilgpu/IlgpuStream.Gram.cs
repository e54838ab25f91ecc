using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // Values of all models that a group of threads keeps in shared memory: 16 KiB, so that several groups share a
    // multiprocessor.
    private const int TileValues = 4096;

    public void Gram(in Chunk chunk, Span<double> partials)
    {
        int models = chunk.Sources.Length;
        Reduction.Check(chunk, models * (models + 1) / 2, partials.Length);
        var terms = new List<Words2>();
        for (int i = 0; i < models; i++)
        {
            for (int j = i; j < models; j++)
                terms.Add(new Words2((uint)i, (uint)j));
        }

        Reduce<ProductTerm>(chunk, [.. terms], partials);
    }

    private void Reduce<TTerm>(in Chunk chunk, Words2[] terms, Span<double> partials)
        where TTerm : struct, ITerm
    {
        if (partials.IsEmpty)
            return;
        fixed (Words2* pairs = terms)
        fixed (double* output = partials)
        {
            var pass = new ReducePass<TTerm>(this, chunk, pairs, terms.Length, output);
            Codec.Select(InputType(chunk), ref pass);
        }
    }

    private readonly ref struct ReducePass<TTerm>(
        IlgpuStream stream, in Chunk chunk, Words2* terms, int width, double* partials) : ICodecAction
        where TTerm : struct, ITerm
    {
        private readonly Chunk _chunk = chunk;

        // Pieces are whole blocks. SAFETY: there are `width` partial sums for every block.
        public void Invoke<TIn>()
            where TIn : struct, ICodec
        {
            int models = _chunk.Sources.Length, tile = Math.Max(2, TileValues / models / 16 * 2);
            int perBlock = width * (Reduction.Lanes + 1) * sizeof(double);
            int most = stream.PieceLength(_chunk, (perBlock / Reduction.Block) + 1);
            for (int start = 0; start < _chunk.Length; start += most)
            {
                int length = Math.Min(most, _chunk.Length - start), rows = Reduction.Rows(length);
                long sums = (long)rows * width;
                stream.Begin(Room(_chunk, length) + Room<Words2>(width)
                    + Room<double>(sums * Reduction.Lanes) + Room<double>(sums));
                var arguments = new ReduceArguments
                {
                    Chunk = stream.Bring(_chunk, start, length, InputType(_chunk)),
                    Terms = stream.Upload(terms, width),
                    Lanes = stream.Take<double>(sums * Reduction.Lanes),
                    Partials = stream.Take<double>(sums),
                    Tile = tile,
                };
                stream.LaunchGroups(
                    ReduceKernels.Reduce<TIn, TTerm>,
                    arguments,
                    rows,
                    SharedMemoryConfig.RequestDynamic<float>(models * tile * GroupElements));
                stream.Download(arguments.Partials, partials + ((long)(start / Reduction.Block) * width));
            }
        }
    }
}
