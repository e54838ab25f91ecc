using System.Runtime.InteropServices;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// One output tensor while it is merged: what a merge method sees. It offers the tensor's inputs and parameters, passes that gather
/// statistics, and the passes that write, of which a method runs exactly one.
/// </summary>
internal sealed unsafe partial class TensorMerge : IDisposable
{
    // The kernel reads mask bits by whole words.
    private const int MaskPadding = 16;
    private readonly List<nint> _maskBits = [];
    private readonly PlannedTensor _plan;
    private readonly MergeContext _context;
    private readonly Workers _workers;
    private readonly TensorPasses _passes;
    private readonly TensorSink _sink;

    public TensorMerge(PlannedTensor plan, MergeContext context, Workers workers, TensorSink sink)
    {
        (_plan, _context, _workers, _sink) = (plan, context, workers, sink);
        _passes = new TensorPasses(context, workers, plan.Length);
    }

    /// <summary>The output tensor's name.</summary>
    public string Name => _plan.Spec.Name;

    /// <summary>Its shape.</summary>
    public IReadOnlyList<long> Shape => _plan.Spec.Shape;

    /// <summary>Its number of elements.</summary>
    public long Length => _plan.Length;

    /// <summary>The base's tensor; not null for methods that need a base.</summary>
    public ModelTensor? Base => _plan.Base;

    /// <summary>The models' tensors in recipe order, each with its per-model parameters.</summary>
    public IReadOnlyList<PlannedSource> Models => _plan.Sources;

    /// <summary>Who works on it.</summary>
    public Workers Workers => _workers;

    /// <summary>What the method's survey of the whole model found.</summary>
    public object? ModelState => _context.ModelState;

    /// <summary>Merges the tensor, or copies it where there is nothing to merge.</summary>
    public void Run()
    {
        using var held = new HeldTensors(_plan.Inputs, _context, _workers);
        if (_plan.IsCopy)
            Copy(_plan.Sources[0].Input);
        else if (Length > 0)
            _context.Plan.Method.MergeTensor(this);
    }

    /// <summary>A global number that has a value.</summary>
    public double Number(string parameter) =>
        _plan.Parameters[parameter].Number ?? throw new InvalidOperationException($"'{parameter}' has no value.");

    /// <summary>A global truth value.</summary>
    public bool Flag(string parameter) => Number(parameter) != 0;

    /// <summary>A global choice.</summary>
    public string Word(string parameter) => _plan.Parameters[parameter].Word!;

    /// <summary>The Gram of the sources' values or deltas: dot products, upper triangle by rows.</summary>
    public double[] Gram(MergeSource[] sources, bool deltas) => _passes.Gram(sources, deltas ? Base : null);

    /// <summary>sum |v_i| over the masked, scaled deltas of each source.</summary>
    public double[] AbsoluteSums(MergeSource[] sources) => _passes.AbsoluteSums(sources, Base);

    /// <summary>sum |rule(base, deltas)| over the tensor.</summary>
    public double SumOf<TRule>(TRule rule, MergeSource[] sources)
        where TRule : struct, ICombineRule => _passes.SumOf(rule, sources, Base);

    /// <summary>
    /// Masks each source to the <paramref name="keep"/>[i] largest magnitudes of its delta, exactly, ties keeping the lower index. <c>null</c>
    /// leaves a source as it is, 0 keeps nothing.
    /// </summary>
    public void KeepLargest(MergeSource[] sources, long?[] keep)
    {
        int[] chosen = Enumerable.Range(0, sources.Length).Where(i => keep[i] is { } k && k < Length).ToArray();
        var subset = chosen.Select(i => sources[i]).ToArray();
        var selectors = MagnitudeSelection.Select([_passes], [subset], Base is null ? [] : [Base], chosen.Select(i => keep[i]!.Value).ToArray());

        for (int c = 0; c < chosen.Length; c++)
        {
            ref var source = ref sources[chosen[c]];
            source = selectors[c] switch
            {
                null => source with { Mask = Mask.None },
                { } s when s.Ties == s.TiesKept => source with { Mask = Mask.Magnitude(s.ThresholdBits, long.MaxValue) },
                { } s => source with { Ties = KeepTies(s.ThresholdBits, FirstTies(s.ThresholdBits, s.TiesKept)!) },
            };
        }

        static ChunkMask KeepTies(uint bits, TieBreak ties) =>
            (stream, in chunk, index) => Mask.Magnitude(bits, ties.Last(stream, chunk, index));
    }

    private TieBreak? FirstTies(uint bits, long count) =>
        count == 0 ? null : new TieBreak(bits, count, _passes.Chunks, _context.Cancellation);

    /// <summary>The mask that drops each element of a model's delta with probability 1 - density.</summary>
    public Mask DropAtRandom(PlannedSource model, double density) => _context.RandomMasks.Draw(this, model, density);

    /// <summary>
    /// Memory for a mask of the tensor as bits (<see cref="Mask.FromBits"/>); it lives until the tensor is done.
    /// </summary>
    public byte* NewMaskBits()
    {
        byte* bits = (byte*)NativeMemory.Alloc((nuint)((Length / 8) + MaskPadding));
        _maskBits.Add((nint)bits);
        return bits;
    }

    /// <summary>
    /// Draws the sources' random masks once and keeps them as bits until the tensor is done: an eighth of a byte per element, which a bf16
    /// input exceeds sixteenfold.
    /// </summary>
    public void Keep(MergeSource[] sources)
    {
        int chunkElements = _context.ChunkElements;
        for (int i = 0; i < sources.Length; i++)
        {
            var mask = sources[i].Mask;
            if (mask.Kind != MaskKind.Random)
                continue;

            byte* bits = NewMaskBits();
            _workers.Run(_passes.Chunks, (worker, index) =>
            {
                long first = (long)index * chunkElements;
                int count = (int)Math.Min(chunkElements, Length - first);
                WriteMask(worker, new Chunk { First = first, Length = count, Sources = [new Source(default) { Mask = mask }] }, bits);
            });
            sources[i] = sources[i] with { Mask = Mask.FromBits(bits) };
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint bits in _maskBits)
            NativeMemory.Free((void*)bits);
        _maskBits.Clear();
    }

    /// <summary>Writes <c>rule(base, deltas)</c>.</summary>
    public void CombineDeltas<TRule>(TRule rule, MergeSource[] sources)
        where TRule : struct, ICombineRule => Write(rule, sources, Base);

    /// <summary>Writes <c>rule(values)</c>, of models as they are.</summary>
    public void Combine<TRule>(TRule rule, MergeSource[] sources)
        where TRule : struct, ICombineRule => Write(rule, sources, null);

    /// <summary>Writes a tensor's stored bits, or its values rounded to the output's dtype where that differs.</summary>
    public void Copy(ModelTensor input)
    {
        if (input.Dtype != _plan.Spec.Dtype)
        {
            Combine(new WeightedSum(1), [new MergeSource(input)]);
            return;
        }

        // Bytes, not elements: any dtype can be copied, also one whose elements are smaller than a byte.
        long bytes = (long)((Int128)input.ByteLength * Length / Math.Max(1, input.ElementCount));
        int window = 4 * _context.ChunkElements;
        _workers.Run(checked((int)((bytes + window - 1) / window)), (worker, index) =>
        {
            long offset = (long)index * window;
            int count = (int)Math.Min(window, bytes - offset);
            _context.CountRead(count);

            // SAFETY: Fetch returns `count` readable bytes, in its map or in the worker's scratch of that size.
            _sink.Write(offset, new ReadOnlySpan<byte>(input.Fetch(offset, count, worker.Scratch(count)), count));
        });
    }

    /// <summary>
    /// Writes the weighted sum of the sources: of their deltas, added to the base, where the tensor has one; of their values
    /// otherwise.
    /// </summary>
    public void CombineSpan(MergeSource[] sources, double[] weights)
    {
        var weighted = sources.Select((s, i) => s with { Weight = (float)weights[i] }).ToArray();
        if (Base is null)
            Combine(new WeightedSum(1), weighted);
        else
            CombineDeltas(new TaskArithmetic(1, 1), weighted);
    }

    // SAFETY: the bits live until Dispose; chunks begin at multiples of 8, so each writes bytes of its own.
    private static void WriteMask(Worker worker, in Chunk chunk, byte* bits) =>
        worker.Stream.WriteMask(chunk, new Span<byte>(bits + (chunk.First / 8), (chunk.Length + 7) / 8));

    private ElementType OutputType => Elements.Of(_plan.Spec.Dtype)!.Value;

    private void Write<TRule>(TRule rule, MergeSource[] sources, ModelTensor? origin)
        where TRule : struct, ICombineRule
    {
        var type = OutputType;
        _passes.ForChunks(sources, origin, (worker, in chunk, scratch) =>
        {
            var output = new Operand(type, scratch);
            worker.Stream.Combine(chunk, rule, output);
            WriteChunk(chunk, output);
        });
    }

    // SAFETY: the operand is the pass's scratch, which holds chunk.Length elements of any type.
    private void WriteChunk(in Chunk chunk, Operand output) =>
        _sink.Write(chunk.First * output.Type.Size(), new ReadOnlySpan<byte>((void*)output.Address, chunk.Length * output.Type.Size()));
}
