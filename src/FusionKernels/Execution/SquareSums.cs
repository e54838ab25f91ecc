using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>sum v_i^2 of each source, gathered chunk by chunk: the diagonal of the Gram, without the products of different sources.</summary>
/// <param name="sources">How many sources.</param>
/// <param name="length">Elements of the tensor.</param>
internal sealed class SquareSums(int sources, long length)
{
    private readonly double[][] _partials =
        Enumerable.Range(0, sources).Select(_ => new double[Reduction.Rows(length)]).ToArray();

    /// <summary>Adds a chunk; each is added once, by any worker.</summary>
    public void Add(Worker worker, in Chunk chunk)
    {
        int first = (int)(chunk.First / Reduction.Block), rows = Reduction.Rows(chunk.Length);
        for (int i = 0; i < _partials.Length; i++)
        {
            var alone = new Chunk { First = chunk.First, Length = chunk.Length, Base = chunk.Base, Sources = chunk.Sources.Slice(i, 1) };
            worker.Stream.Gram(alone, _partials[i].AsSpan(first, rows));
        }
    }

    /// <summary>The sums.</summary>
    public double[] Fold() => _partials.Select(p => Reduction.Fold(p, 1)[0]).ToArray();
}
