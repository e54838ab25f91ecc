using FusionKernels.Kernels;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// Computes the shards of a plan. Memory is bounded by the workers' scratch, a chunk of every input each, whatever the models' size. Large
/// tensors are cut into chunks that all workers share; runs of small ones are handed out a tensor at a time.
/// </summary>
internal sealed class Executor : IDisposable
{
    // Chunks of this many elements keep a worker's inputs and output of a four-model bf16 merge (5 x 128 KiB) within its L2 cache.
    private const int DefaultChunkElements = 1 << 16;
    private const int LargestElement = 8;
    private readonly MergeContext _context;
    private readonly WorkerTeam _team;
    private readonly ProgressMeter _progress;

    public Executor(
        MergePlan plan, MergeOptions options, IRandomMasks masks, IKernelBackend backend, IProgress<MergeProgress>? progress, CancellationToken cancellation)
    {
        int threads = options.Threads > 0 ? options.Threads : Environment.ProcessorCount;
        _context = new MergeContext { Plan = plan, ChunkElements = ChunkElements(plan, options, threads), RandomMasks = masks, Cancellation = cancellation };
        _progress = new ProgressMeter(progress, _context);
        _team = new WorkerTeam(backend, threads, cancellation);
    }

    /// <summary>Input bytes read so far.</summary>
    public long BytesRead => _context.BytesRead;

    /// <summary>Counts and clock of the run.</summary>
    public ProgressMeter Progress => _progress;

    /// <summary>Lets the method look at the whole model; before the first shard.</summary>
    public void Survey() => _context.ModelState = _context.Plan.Method.Survey(new ModelSurvey(_context, _team));

    /// <summary>Computes one shard into its file: header first, then the tensors, each at its place.</summary>
    /// <returns>The shard's checksums.</returns>
    public ShardRecord Write(ShardLayout shard, IOutputFile file)
    {
        _progress.Shard(shard.FileName);
        file.Write(0, shard.Header.Span);
        var checksums = new uint[shard.Tensors.Count];
        for (int i = 0; i < checksums.Length;)
        {
            int small = i;
            while (small < checksums.Length && Plan(small).Length <= _context.ChunkElements)
                small++;
            if (small > i)
            {
                int first = i;
                _team.Run(small - first, (worker, item) => Merge(first + item, worker));
                i = small;
            }
            else
            {
                if (i + 1 < checksums.Length)
                    Prefetch(Plan(i + 1));
                Merge(i, _team);
                i++;
            }
        }

        return new ShardRecord(
            shard.FileName,
            shard.FileLength,
            Crc32C.Of(shard.Header.Span),
            shard.Tensors.Select((t, i) => (t.Name, Crc: checksums[i])).ToDictionary(t => t.Name, t => t.Crc));

        PlannedTensor Plan(int index) => _context.Plan.Tensors[shard.Tensors[index].Name];

        void Merge(int index, Workers workers)
        {
            var place = shard.Tensors[index];
            var plan = Plan(index);
            _progress.Tensor(place.Name);
            var sink = new TensorSink(file, place.Offset, _progress.Bytes);
            using var tensor = new TensorMerge(plan, _context, workers, sink);
            if (plan.IsCopy)
                tensor.Copy(plan.Sources[0].Input);
            else if (plan.Length > 0)
                _context.Plan.Method.MergeTensor(tensor);
            checksums[index] = sink.Checksum(place.ByteLength);
            _progress.TensorDone();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _team.Dispose();

    private static void Prefetch(PlannedTensor tensor)
    {
        foreach (var source in tensor.Sources)
            source.Input.Prefetch();
        tensor.Base?.Prefetch();
    }

    private static int ChunkElements(MergePlan plan, MergeOptions options, int threads)
    {
        if (options.ChunkElements > 0)
        {
            ArgumentOutOfRangeException.ThrowIfNotEqual(options.ChunkElements % Reduction.Block, 0, nameof(options));
            return options.ChunkElements;
        }

        long slots = (plan.Models.Count + 3L) * threads * LargestElement;
        long fitting = options.MemoryBytes / slots / Reduction.Block * Reduction.Block;
        return (int)Math.Clamp(fitting, Reduction.Block, DefaultChunkElements);
    }
}
