using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// Computes the shards of a plan. Memory is bounded by the workers' scratch, a chunk of every input each, whatever the models' size. Large
/// tensors are cut into chunks that all workers share, the others are handed out a tensor at a time.
/// </summary>
internal sealed class Executor : IDisposable
{
    private const int LargestElement = 8;
    private const int TensorsPerWorker = 16;
    private readonly long _memoryBytes;
    private readonly long _wholeElements;
    private readonly MergeContext _context;
    private readonly WorkerTeam _team;
    private readonly ProgressMeter _progress;

    public Executor(
        MergePlan plan,
        MergeOptions options,
        IRandomMasks? masks,
        IKernelBackend backend,
        IProgress<MergeProgress>? progress,
        CancellationToken cancellation)
    {
        int threads = ThreadTeam.Size(options.Threads);
        var steps = plan.Steps;
        int chunkElements = steps.Append(plan).Min(p => ChunkElements(p, options, threads, backend));
        var contexts = new Dictionary<MergePlan, MergeContext>(steps.Count);
        foreach (var step in steps)
            contexts.Add(step, Context(step, PlannedMasks(step, options, cancellation)));
        _context = Context(plan, masks ?? PlannedMasks(plan, options, cancellation));
        _memoryBytes = options.MemoryBytes;
        _wholeElements = options.MemoryBytes / Math.Max(1, plan.Models.Count);
        _progress = new ProgressMeter(progress, _context);
        _team = new WorkerTeam(backend, threads, cancellation);

        MergeContext Context(MergePlan planned, IRandomMasks drawn) => new()
        {
            Plan = planned,
            Steps = contexts,
            ChunkElements = chunkElements,
            RandomMasks = drawn,
            Cancellation = cancellation,
        };
    }

    /// <summary>Input bytes read so far.</summary>
    public long BytesRead => _context.BytesRead;

    /// <summary>What was computed on the CPU because the device failed.</summary>
    public IEnumerable<DeviceFailure> DeviceFailures => _team.Failures;

    /// <summary>Counts and clock of the run.</summary>
    public ProgressMeter Progress => _progress;

    /// <summary>
    /// Lets the methods look at their whole models, steps before what needs them; before the first shard.
    /// </summary>
    public void Survey()
    {
        foreach (var context in _context.Plan.Steps.Select(s => _context.Steps[s]).Append(_context))
            context.ModelState = _team.OnDevice(
                "the survey of all models", () => context.Plan.Method.Survey(new ModelSurvey(context, _team)));
    }

    /// <summary>Computes one shard into its file: header first, then the tensors, each at its place.</summary>
    /// <returns>The shard's checksums.</returns>
    public ShardRecord Write(ShardLayout shard, IOutputFile file)
    {
        // A device that failed one of the workers serves none of the next shard's.
        if (_team.Failures.FirstOrDefault(f => !f.IsOutOfMemory) is { } lost)
            _team.FallBack(lost);
        _progress.Shard(shard.FileName);
        file.Write(0, shard.Header.Span);
        var checksums = new uint[shard.Tensors.Count];
        var nonFinite = new long[shard.Tensors.Count];

        // The largest tensors first, equal ones in file order; those that share what they are computed from follow each
        // other. What is a large part of the shard, or of what memory allows, is cut into chunks that all workers share,
        // unless a chunk holds all of it. The others go whole to a worker each, which spares them the waiting between
        // passes and at ties; as they shrink, the workers end together. What tensors of steps need must fit for all
        // workers at once.
        Unit[] units = [.. Enumerable.Range(0, checksums.Length).GroupBy(i => Plan(i).Shared ?? (object)Plan(i))
            .Select(g => new Unit([.. g.Select(i => (i, Plan(i)))])).OrderByDescending(u => u.Elements)];
        long most = Math.Min(units.Sum(u => u.Elements) / TensorsPerWorker, _wholeElements) / _team.Count;
        var (together, alone) = (units.Where(IsShared).ToArray(), units.Where(u => !IsShared(u)).ToArray());
        int shared = together.Length;
        units = [.. together, .. alone];
        for (int i = 0; i < shared; i++)
            Merge(i, _team, next: i + 1);
        _team.Run(alone.Length, (worker, item) => Merge(shared + item, worker, next: shared + item + _team.Count));

        return new ShardRecord(
            shard.FileName,
            shard.FileLength,
            Crc32C.Of(shard.Header.Span),
            shard.Tensors.Select((t, i) => (t.Name, Crc: checksums[i])).ToDictionary(t => t.Name, t => t.Crc),
            shard.Tensors.Select((t, i) => (t.Name, Count: nonFinite[i])).Where(t => t.Count > 0)
                .ToDictionary(t => t.Name, t => t.Count));

        bool IsShared(Unit unit) =>
            unit.Elements > Math.Max(most, _context.ChunkElements)
            || unit.Tensors.Any(t => t.Plan.IntermediateBytes > _memoryBytes / _team.Count);

        PlannedTensor Plan(int index) => _context.Plan.Tensors[shard.Tensors[index].Name];

        void Merge(int turn, Workers workers, int next)
        {
            if (next < units.Length)
                Prefetch(units[next]);
            Unit unit = units[turn];
            using var held = workers.OnDevice(shard.Tensors[unit.Tensors[0].Index].Name, () => unit.Hold(_context, workers));
            foreach (var (index, plan) in unit.Tensors)
            {
                var place = shard.Tensors[index];
                _progress.Tensor(place.Name);
                var sink = workers.OnDevice(place.Name, () => Compute(plan, place, workers));
                checksums[index] = sink.Checksum(place.ByteLength);
                nonFinite[index] = sink.NonFinite;
                _progress.TensorDone();
            }
        }

        // A tensor comes from one device: where that fails, all of it is computed and written again.
        TensorSink Compute(PlannedTensor plan, PlacedTensor place, Workers workers)
        {
            var sink = new TensorSink(file, place.Offset, Elements.Of(place.Dtype), _progress.Bytes);
            try
            {
                using var tensor = new TensorMerge(plan, _context, workers, sink);
                tensor.Run();
                return sink;
            }
            catch (DeviceException)
            {
                sink.Withdraw();
                throw;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _team.Dispose();

    private static void Prefetch(Unit unit)
    {
        foreach (var input in unit.Inputs)
            input.Prefetch();
    }

    private static IRandomMasks PlannedMasks(MergePlan plan, MergeOptions options, CancellationToken cancellation) =>
        plan.Recipe.Rng == RandomGenerator.Torch
            ? new TorchMasks(plan, options.Seed, cancellation)
            : new PhiloxMasks(options.Seed);

    private static int ChunkElements(MergePlan plan, MergeOptions options, int threads, IKernelBackend backend)
    {
        if (options.ChunkElements > 0)
        {
            ArgumentOutOfRangeException.ThrowIfNotEqual(options.ChunkElements % Reduction.Block, 0, nameof(options));
            return options.ChunkElements;
        }

        long slots = (plan.Models.Count + 3L) * threads * LargestElement;
        long fitting = options.MemoryBytes / slots / Reduction.Block * Reduction.Block;
        return (int)Math.Clamp(fitting, Reduction.Block, backend.ChunkElements);
    }

    /// <summary>Tensors of a shard that are merged one after the other: mostly one.</summary>
    /// <param name="Tensors">Their indices in the shard, and their plans.</param>
    private sealed record Unit((int Index, PlannedTensor Plan)[] Tensors)
    {
        /// <summary>The tensors that they are computed from.</summary>
        public IEnumerable<ModelTensor> Inputs => Tensors.SelectMany(t => t.Plan.Inputs).Distinct();

        /// <summary>A measure of the work.</summary>
        public long Elements { get; } = Tensors[0].Plan.Shared is null ? Tensors[0].Plan.Length
            : Tensors.SelectMany(t => t.Plan.Inputs).SelectMany(i => i.Inputs).Distinct().Sum(i => i.ElementCount);

        /// <summary>Keeps what they share in memory.</summary>
        public HeldTensors Hold(MergeContext context, Workers workers) =>
            new(Tensors is [_] ? [] : Inputs, context, workers);
    }
}
