using System.Buffers;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// An embedding whose rows are in the order of another vocabulary: rows of the model's own tensor, of other models' for
/// tokens that it lacks, or computed from several. It is never held as a whole.
/// </summary>
/// <param name="own">The model's own tensor, which gives name, columns and dtype.</param>
/// <param name="inputs">
/// The tensors that rows come from, of equal columns; rows of another dtype are rounded to the own one.
/// </param>
/// <param name="rows">Where each row comes from.</param>
/// <param name="averages">The stored rows of each average.</param>
internal sealed unsafe class PermutedEmbedding(
    ModelTensor own,
    IReadOnlyList<ModelTensor> inputs,
    EmbeddingRow[] rows,
    IReadOnlyList<EmbeddingRow[]> averages) : ModelTensor
{
    private static readonly CpuBackend Backend = new();
    private readonly long _rowBytes = own.Shape[1] * Elements.Of(own.Dtype)!.Value.Size();
    private readonly Lock _meanLock = new();
    private float[]? _mean;

    /// <inheritdoc/>
    public override string Name => own.Name;

    /// <inheritdoc/>
    public override string Path => own.Path;

    /// <inheritdoc/>
    public override Dtype Dtype => own.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape { get; } = [rows.Length, own.Shape[1]];

    /// <inheritdoc/>
    public override long ElementCount => rows.Length * own.Shape[1];

    /// <inheritdoc/>
    public override long ByteLength => rows.Length * _rowBytes;

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => [own, .. inputs];

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch)
    {
        // A range is a part of a row, whole rows, a part of a row. Rows that follow each other in one tensor are
        // fetched at once, so a vocabulary that mostly keeps its order is read in long pieces; a single piece need not
        // be copied.
        for (nint done = 0; done < byteLength;)
        {
            long begin = byteOffset + done, row = begin / _rowBytes, within = begin % _rowBytes;
            var source = rows[row];
            long end = row + 1, last = byteOffset + byteLength;
            if (source.IsStored && inputs[source.Input].Dtype == Dtype)
            {
                while (end * _rowBytes < last && rows[end] == source with { Row = source.Row + (int)(end - row) })
                    end++;
                nint count = (nint)Math.Min(byteLength - done, (end * _rowBytes) - begin);
                byte* bytes = inputs[source.Input].Fetch((source.Row * _rowBytes) + within, count, scratch + done);
                if (count == byteLength)
                    return bytes;
                if (bytes != scratch + done)
                    Buffer.MemoryCopy(bytes, scratch + done, count, count);
                done += count;
            }
            else
            {
                nint count = (nint)Math.Min(byteLength - done, (end * _rowBytes) - begin);
                var output = new Operand(Elements.Of(Dtype)!.Value, scratch + done);
                int size = output.Type.Size();
                Compute(source, within / size, (int)(count / size), output);
                done += count;
            }
        }

        return scratch;
    }

    /// <inheritdoc/>
    public override void Prefetch() => own.Prefetch();

    // Columns [first, first + count) of a row: the average of its stored rows, of which there may be one, or none for
    // zeros.
    private void Compute(EmbeddingRow row, long first, int count, Operand output)
    {
        if (row.IsMean)
        {
            fixed (float* mean = Mean())
                Combine([new Source(new Operand(ElementType.F32, mean + first))], count, output);
            return;
        }

        EmbeddingRow[] parts = row.IsAverage ? averages[row.Row] : row.IsStored ? [row] : [];
        const int LargestElement = 8;
        byte[] room = ArrayPool<byte>.Shared.Rent(Math.Max(1, parts.Length * count * LargestElement));

        // SAFETY: the room is pinned while it holds the parts, each with space for elements of the largest type.
        fixed (byte* scratch = room)
        {
            var sources = new Source[parts.Length];
            for (int i = 0; i < parts.Length; i++)
            {
                var tensor = inputs[parts[i].Input];
                var type = Elements.Of(tensor.Dtype)!.Value;
                long offset = ((parts[i].Row * tensor.Shape[1]) + first) * type.Size();
                byte* into = scratch + (i * count * LargestElement);
                sources[i] = new Source(new Operand(type, tensor.Fetch(offset, (nint)count * type.Size(), into)));
            }

            Combine(sources, count, output);
        }

        ArrayPool<byte>.Shared.Return(room);
    }

    private static void Combine(ReadOnlySpan<Source> sources, int count, Operand output)
    {
        using var stream = Backend.OpenStream();
        var chunk = new Chunk { First = 0, Length = count, Sources = sources };
        stream.Combine(chunk, new WeightedSum(Math.Max(1, sources.Length)), output);
    }

    // Summed in fp64 in the order of the rows, once, by whoever needs it first.
    private float[] Mean()
    {
        lock (_meanLock)
        {
            if (_mean is not null)
                return _mean;
            var sums = new double[own.Shape[1]];
            var values = new float[sums.Length];
            int counted = 0;
            foreach (var row in rows.Where(r => !r.IsMean))
            {
                fixed (float* room = values)
                    Compute(row, 0, values.Length, new Operand(ElementType.F32, room));
                for (int i = 0; i < sums.Length; i++)
                    sums[i] += values[i];
                counted++;
            }

            return _mean = Array.ConvertAll(sums, sum => (float)(sum / Math.Max(1, counted)));
        }
    }
}
