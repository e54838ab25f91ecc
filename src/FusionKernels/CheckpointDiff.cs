using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>How two checkpoints differ.</summary>
/// <param name="Tensors">The tensors that both have, in the left one's order.</param>
/// <param name="OnlyLeft">Names that only the left one has.</param>
/// <param name="OnlyRight">Names that only the right one has.</param>
public sealed record CheckpointDiff(
    IReadOnlyList<TensorDifference> Tensors,
    IReadOnlyList<string> OnlyLeft,
    IReadOnlyList<string> OnlyRight)
{
    // A piece is the unit of parallel work, a chunk what one kernel call sees. Both are fixed, and pieces are added in
    // order, so the sums do not depend on the number of threads.
    private const int ChunkElements = 1 << 16, PieceElements = 1 << 22;
    private const int LargestElement = 8;

    /// <summary>Whether both hold the same tensors with the same bits.</summary>
    public bool IsIdentical => OnlyLeft.Count == 0 && OnlyRight.Count == 0 && Tensors.All(tensor => tensor.IsIdentical);

    /// <summary>Compares two checkpoints tensor by tensor, in memory that does not grow with them.</summary>
    /// <param name="left">Folder, index or file of one; relative measures refer to it.</param>
    /// <param name="right">Folder, index or file of the other.</param>
    /// <param name="threads">Worker threads; 0 is one per processor.</param>
    /// <param name="cancellation">Stops between chunks.</param>
    /// <exception cref="SafetensorsException">A file breaks a rule of the format.</exception>
    /// <exception cref="SourceUnavailableException">A file is missing or cannot be read.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<CheckpointDiff> RunAsync(
        string left, string right, int threads = 0, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(left);
        ArgumentException.ThrowIfNullOrEmpty(right);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        int workers = ThreadTeam.Size(threads);
        return Task.Run(() => Run(left, right, workers, cancellation), cancellation);
    }

    private static CheckpointDiff Run(string left, string right, int threads, CancellationToken cancellation)
    {
        using var a = Checkpoint.Open(left);
        using var b = Checkpoint.Open(right);
        var pairs = new List<(CheckpointTensor Left, CheckpointTensor Right)>();
        foreach (var tensor in a.Tensors)
        {
            if (b.TryGet(tensor.Name, out var other))
                pairs.Add((tensor, other));
        }

        var pieces = new List<(int Pair, long First)>();
        for (int pair = 0; pair < pairs.Count; pair++)
        {
            for (long first = 0; IsComparable(pairs[pair]) && first < Count(pairs[pair].Left); first += PieceElements)
                pieces.Add((pair, first));
        }

        var differences = new Difference[pieces.Count];
        using (var team = new WorkerTeam(new CpuBackend(), threads, cancellation))
        {
            team.Run(pieces.Count, (worker, item) =>
            {
                var (l, r) = pairs[pieces[item].Pair];
                long end = Math.Min(pieces[item].First + PieceElements, Count(l));
                for (long first = pieces[item].First; first < end; first += ChunkElements)
                {
                    cancellation.ThrowIfCancellationRequested();
                    Compare(worker, l, r, first, (int)Math.Min(ChunkElements, end - first), ref differences[item]);
                }
            });
        }

        var sums = new Difference[pairs.Count];
        for (int item = 0; item < pieces.Count; item++)
            sums[pieces[item].Pair].Add(differences[item]);
        return new CheckpointDiff(
            pairs.Select((pair, i) => new TensorDifference(
                pair.Left.Name, pair.Left.Dtype, pair.Right.Dtype, pair.Left.Shape, pair.Right.Shape,
                IsComparable(pair) ? sums[i] : null)).ToArray(),
            a.Tensors.Select(t => t.Name).Where(name => !b.TryGet(name, out _)).ToArray(),
            b.Tensors.Select(t => t.Name).Where(name => !a.TryGet(name, out _)).ToArray());
    }

    private static bool IsComparable((CheckpointTensor Left, CheckpointTensor Right) pair) =>
        pair.Left.Shape.SequenceEqual(pair.Right.Shape)
        && (pair.Left.Dtype == pair.Right.Dtype
            || (Elements.Of(pair.Left.Dtype) is not null && Elements.Of(pair.Right.Dtype) is not null));

    // Elements; of types below a byte, the bytes they are packed in.
    private static long Count(CheckpointTensor tensor) => tensor.ByteLength / ElementBytes(tensor);

    private static int ElementBytes(CheckpointTensor tensor) => Math.Max(1, tensor.Dtype.Bits() / 8);

    private static unsafe void Compare(
        Worker worker, CheckpointTensor left, CheckpointTensor right, long first, int count, ref Difference difference)
    {
        // SAFETY: four slots of scratch, each for a chunk of the largest element: two to read into, two to widen into.
        const int Slot = ChunkElements * LargestElement;
        byte* scratch = worker.Scratch(4 * Slot);
        byte* l = left.Fetch(first * ElementBytes(left), (nint)count * ElementBytes(left), scratch);
        byte* r = right.Fetch(first * ElementBytes(right), (nint)count * ElementBytes(right), scratch + Slot);
        if (Elements.Of(left.Dtype) is not { } leftType || Elements.Of(right.Dtype) is not { } rightType)
        {
            difference.Elements += count;
            difference.Changed += CountChanged(l, r, count, ElementBytes(left));
            return;
        }

        var (a, b) = (new Operand(leftType, l), new Operand(rightType, r));
        if (leftType != rightType)
            (a, b) = (Widen(worker, a, count, scratch + (2 * Slot)), Widen(worker, b, count, scratch + (3 * Slot)));
        worker.Stream.Compare(a, b, count, ref difference);
    }

    // To fp32: the weighted sum of one model of weight 1.
    private static unsafe Operand Widen(Worker worker, Operand operand, int count, byte* into)
    {
        var widened = new Operand(ElementType.F32, into);
        var chunk = new Chunk { First = 0, Length = count, Sources = [new Source(operand)] };
        worker.Stream.Combine(chunk, new WeightedSum(1), widened);
        return widened;
    }

    private static unsafe long CountChanged(byte* left, byte* right, int count, int size)
    {
        // SAFETY: both sides have count * size bytes.
        var a = new ReadOnlySpan<byte>(left, count * size);
        var b = new ReadOnlySpan<byte>(right, count * size);
        if (a.SequenceEqual(b))
            return 0;
        long changed = 0;
        for (int i = 0; i < count; i++)
            changed += a.Slice(i * size, size).SequenceEqual(b.Slice(i * size, size)) ? 0 : 1;
        return changed;
    }
}
