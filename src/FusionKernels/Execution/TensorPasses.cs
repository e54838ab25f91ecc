using System.Runtime.CompilerServices;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>What a pass does with one chunk.</summary>
/// <param name="worker">Who does it.</param>
/// <param name="chunk">The inputs.</param>
/// <param name="scratch">Memory for twice <see cref="Chunk.Length"/> elements of any type.</param>
internal unsafe delegate void ChunkBody(Worker worker, in Chunk chunk, byte* scratch);

/// <summary>What samples take from one run of elements.</summary>
/// <param name="worker">Who does it.</param>
/// <param name="chunk">The run.</param>
/// <param name="scratch">As in <see cref="ChunkBody"/>.</param>
/// <param name="samples">Receive a magnitude's bits for each element of the run.</param>
/// <param name="begin">The run's first place in them.</param>
internal unsafe delegate void SampleBody(Worker worker, in Chunk chunk, byte* scratch, uint[][] samples, int begin);

/// <summary>What a pass counts in one chunk.</summary>
/// <param name="worker">Who does it.</param>
/// <param name="chunk">The inputs.</param>
/// <param name="scratch">As in <see cref="ChunkBody"/>.</param>
/// <param name="counts">The worker's histograms.</param>
internal unsafe delegate void HistogramBody(Worker worker, in Chunk chunk, byte* scratch, MagnitudeHistogram?[] counts);

/// <summary>
/// Passes over one tensor: each cuts the tensor into chunks, brings the chunk's inputs to a worker (a pointer into the
/// mapped file, or a copy in the worker's scratch memory), and runs a kernel on them. Chunks are shared among workers in any order; what a
/// pass returns does not depend on it.
/// </summary>
/// <param name="context">What the run shares.</param>
/// <param name="workers">Who runs the chunks.</param>
/// <param name="length">Elements of the tensor.</param>
internal sealed unsafe class TensorPasses(MergeContext context, Workers workers, long length)
{
    private const int SampleRun = 32, RunsPerItem = 16;
    private const int LargestElement = 8, BodySlots = 2;

    /// <summary>Elements of the tensor.</summary>
    public long Length => length;

    /// <summary>Chunks that the tensor is cut into; they are handed out in order.</summary>
    public int Chunks => checked((int)((length + context.ChunkElements - 1) / context.ChunkElements));

    /// <summary>Runs a pass over all chunks.</summary>
    /// <param name="sources">The models.</param>
    /// <param name="origin">The base of the deltas, or <c>null</c> for the models' own values.</param>
    /// <param name="body">The kernel calls on a chunk.</param>
    public void ForChunks(MergeSource[] sources, ModelTensor? origin, ChunkBody body)
    {
        using var held = Hold(sources, origin);
        int chunkElements = context.ChunkElements;
        workers.Run(Chunks, (worker, index) =>
        {
            long first = (long)index * chunkElements;
            WithChunk(worker, sources, origin, first, (int)Math.Min(chunkElements, length - first), body);
        });
    }

    /// <summary>Brings the elements [first, first + count) of the inputs to a worker and runs a kernel on them.</summary>
    public void WithChunk(Worker worker, MergeSource[] sources, ModelTensor? origin, long first, int count, ChunkBody body)
    {
        // Two slots of scratch for the body and one per input, each of the largest element type; reads of mapped files leave theirs unused.
        nint slot = (nint)count * LargestElement;
        int firstSource = BodySlots + (origin is null ? 0 : 1);
        byte* scratch = worker.Inputs(slot * (firstSource + sources.Length), slot * BodySlots);
        var operands = new SourceBuffer();
        Span<Source> kernelSources = sources.Length <= SourceBuffer.Length
            ? ((Span<Source>)operands)[..sources.Length]
            : new Source[sources.Length];
        long read = 0;
        var basis = origin is null ? default : Fetch(origin, scratch + (slot * BodySlots));
        for (int i = 0; i < sources.Length; i++)
        {
            var source = sources[i];
            int same = Array.FindIndex(sources, 0, i, s => ReferenceEquals(s.Input, source.Input));
            var data = same >= 0 ? kernelSources[same].Data : Fetch(source.Input, scratch + (slot * (firstSource + i)));
            kernelSources[i] = new Source(data) { Mask = source.Mask, Scale = source.Scale, Weight = source.Weight };
            if (source.Ties is { } ties)
            {
                var alone = new Chunk { First = first, Length = count, Base = basis, Sources = kernelSources.Slice(i, 1) };
                kernelSources[i] = kernelSources[i] with { Mask = ties(worker.Stream, alone, (int)(first / context.ChunkElements)) };
            }
        }

        context.CountRead(read);
        body(worker, new Chunk { First = first, Length = count, Base = basis, Sources = kernelSources }, scratch);

        Operand Fetch(ModelTensor tensor, byte* into)
        {
            var type = Elements.Of(tensor.Dtype)!.Value;
            int size = type.Size();
            // SAFETY: `into` has room for `count` elements of the largest type; the planner made sure that the tensor has them.
            return new Operand(type, worker.Fetch(tensor, first * size, (nint)count * size, into, ref read));
        }
    }

    /// <summary>The Gram of the models' values, upper triangle by rows.</summary>
    public double[] Gram(MergeSource[] sources, ModelTensor? origin) =>
        Reduce(sources, origin, sources.Length * (sources.Length + 1) / 2, static (stream, in chunk, partials) => stream.Gram(chunk, partials));

    /// <summary>sum |v_i| of each model's values.</summary>
    public double[] AbsoluteSums(MergeSource[] sources, ModelTensor? origin) =>
        Reduce(sources, origin, sources.Length, static (stream, in chunk, partials) => stream.AbsoluteSum(chunk, partials));

    /// <summary>sum |rule(base, models)|.</summary>
    public double SumOf<TRule>(TRule rule, MergeSource[] sources, ModelTensor? origin)
        where TRule : struct, ICombineRule
    {
        var partials = new double[Reduction.Rows(length)];
        ForChunks(sources, origin, (worker, in chunk, scratch) =>
        {
            var values = new Operand(ElementType.F32, scratch);
            worker.Stream.Combine(chunk, rule, values);
            worker.Stream.AbsoluteSum(
                new Chunk { First = chunk.First, Length = chunk.Length, Sources = [new Source(values)] },
                partials.AsSpan((int)(chunk.First / Reduction.Block), Reduction.Rows(chunk.Length)));
        });
        return Reduction.Fold(partials, 1)[0];
    }

    /// <summary>
    /// sum |rule(base, models)| for each model, with the weight 1 for this model and 0 for the others.
    /// </summary>
    public double[] SumsOfEach<TRule>(TRule rule, MergeSource[] sources, ModelTensor? origin)
        where TRule : struct, ICombineRule
    {
        var partials = sources.Select(_ => new double[Reduction.Rows(length)]).ToArray();
        ForChunks(sources, origin, (worker, in chunk, scratch) =>
        {
            var values = new Operand(ElementType.F32, scratch);
            for (int model = 0; model < sources.Length; model++)
            {
                worker.Stream.Combine(OfOne(chunk, model), rule, values);
                worker.Stream.AbsoluteSum(
                    new Chunk { First = chunk.First, Length = chunk.Length, Sources = [new Source(values)] },
                    partials[model].AsSpan((int)(chunk.First / Reduction.Block), Reduction.Rows(chunk.Length)));
            }
        });
        return [.. partials.Select(p => Reduction.Fold(p, 1)[0])];
    }

    /// <summary>A chunk with the weight 1 for one model and 0 for the others.</summary>
    public static Chunk OfOne(in Chunk chunk, int model)
    {
        var sources = new Source[chunk.Sources.Length];
        for (int i = 0; i < sources.Length; i++)
            sources[i] = chunk.Sources[i] with { Weight = i == model ? 1 : 0 };
        return new Chunk { First = chunk.First, Length = chunk.Length, Base = chunk.Base, Sources = sources };
    }

    /// <summary>Magnitude bits of some of the models' deltas, at the same elements for all.</summary>
    /// <param name="sources">The models.</param>
    /// <param name="origin">The base.</param>
    /// <param name="elements">How many of each to take; the whole tensor when it has no more.</param>
    /// <returns>The samples per model.</returns>
    public uint[][] SampleMagnitudes(MergeSource[] sources, ModelTensor? origin, long elements)
    {
        var inputs = Array.ConvertAll(sources, s => new MergeSource(s.Input));
        return Sample(inputs, origin, elements, sources.Length, (worker, in chunk, _, samples, begin) =>
        {
            for (int i = 0; i < samples.Length; i++)
                worker.Stream.SampleMagnitudes(chunk.With(chunk.Base, chunk.Sources.Slice(i, 1)), 1, samples[i].AsSpan(begin));
        });
    }

    /// <summary>
    /// A sample of the tensor in short runs spread evenly over it: long enough for a read to pay, short enough that rows of
    /// unlike scale are all met.
    /// </summary>
    /// <param name="sources">The models.</param>
    /// <param name="origin">The base.</param>
    /// <param name="elements">How many to take; the whole tensor when it has no more.</param>
    /// <param name="samples">How many samples are taken of the same elements.</param>
    /// <param name="body">Fills in the samples' part that belongs to a run.</param>
    public uint[][] Sample(MergeSource[] sources, ModelTensor? origin, long elements, int samples, SampleBody body)
    {
        using var held = Hold(sources, origin);

        // All workers share the runs: the pages they touch first are most of a mapped tensor's.
        int runs = (int)Math.Max(1, Math.Min(elements, length) / SampleRun);
        int taken = (int)Math.Min(length, runs * SampleRun);
        var result = new uint[samples][];
        for (int i = 0; i < samples; i++)
            result[i] = new uint[taken];
        workers.Run((runs + RunsPerItem - 1) / RunsPerItem, (worker, item) =>
        {
            for (int run = item * RunsPerItem; run < Math.Min(runs, (item + 1) * RunsPerItem); run++)
            {
                int begin = run * SampleRun;
                WithChunk(worker, sources, origin, (long)(run * (Int128)length / runs), Math.Min(SampleRun, taken), (worker, in chunk, scratch) =>
                    body(worker, chunk, scratch, result, begin));
            }
        });
        return result;
    }

    /// <summary>
    /// Counts the magnitudes of the models' deltas in one pass; <paramref name="fresh"/> makes an empty histogram for model i, or
    /// <c>null</c> to leave the model out.
    /// </summary>
    /// <returns>The counts per model.</returns>
    public MagnitudeHistogram?[] Histograms(MergeSource[] sources, ModelTensor? origin, Func<int, MagnitudeHistogram?> fresh) =>
        Histograms(sources, origin, sources.Length, fresh, static (worker, in chunk, _, counts) => worker.Stream.Histogram(chunk, counts));

    /// <summary>Counts in one pass what <paramref name="body"/> adds for each chunk to a worker's own histograms.</summary>
    /// <param name="sources">The models.</param>
    /// <param name="origin">The base.</param>
    /// <param name="histograms">How many histograms.</param>
    /// <param name="fresh">Makes an empty histogram i, or <c>null</c> to leave it out.</param>
    /// <param name="body">Counts a chunk.</param>
    public MagnitudeHistogram?[] Histograms(
        MergeSource[] sources, ModelTensor? origin, int histograms, Func<int, MagnitudeHistogram?> fresh, HistogramBody body)
    {
        var perWorker = new MagnitudeHistogram?[workers.Count][];
        ForChunks(sources, origin, (worker, in chunk, scratch) =>
        {
            var mine = perWorker[workers.Count == 1 ? 0 : worker.Index] ??= Fresh();
            body(worker, chunk, scratch, mine);
        });

        var total = perWorker.FirstOrDefault(h => h is not null) ?? Fresh();
        foreach (var other in perWorker.Where(h => h is not null && h != total))
        {
            for (int i = 0; i < total.Length; i++)
                total[i]?.Add(other![i]!);
        }

        return total;

        MagnitudeHistogram?[] Fresh() => Enumerable.Range(0, histograms).Select(fresh).ToArray();
    }

    private HeldTensors Hold(MergeSource[] sources, ModelTensor? origin) =>
        new(sources.Select(s => s.Input).Concat(origin is null ? [] : [origin]), context, workers);

    private delegate void ReduceKernel(IKernelStream stream, in Chunk chunk, Span<double> partials);

    private double[] Reduce(MergeSource[] sources, ModelTensor? origin, int width, ReduceKernel kernel)
    {
        var partials = new double[checked(Reduction.Rows(length) * width)];
        ForChunks(sources, origin, (worker, in chunk, _) => kernel(
            worker.Stream, chunk, partials.AsSpan((int)(chunk.First / Reduction.Block * width), Reduction.Rows(chunk.Length) * width)));
        return Reduction.Fold(partials, width);
    }

    // Sources of one chunk on the stack; merges of more models than this allocate.
    [InlineArray(Length)]
    private struct SourceBuffer
    {
        public const int Length = 16;
        private Source _first;
    }
}
