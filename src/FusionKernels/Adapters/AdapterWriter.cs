using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>
/// Writes an adapter by the output's protocol: the factors of each module are computed by the whole team and kept as a
/// part; when all ranks are known the weights' file is laid out, filled and published, the configuration comes last. A
/// later run of the same plan goes on after the last part. In memory is one module at a time.
/// </summary>
internal sealed unsafe class AdapterWriter
{
    // A part is the rank, the share of the energy, and the bytes of A and B.
    private const int PartHead = sizeof(int) + sizeof(double);
    private const int Window = 1 << 16;
    private readonly AdapterPlan _plan;
    private readonly AdapterOptions _options;
    private readonly string _output;
    private readonly IProgress<MergeProgress>? _progress;
    private readonly CancellationToken _cancellation;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<(AdapterModule Module, int Part, int Rank, double? Captured)> _computed = [];

    private AdapterWriter(
        AdapterPlan plan,
        AdapterOptions options,
        string output,
        IProgress<MergeProgress>? progress,
        CancellationToken cancellation)
    {
        (_plan, _options, _output, _progress, _cancellation) = (plan, options, output, progress, cancellation);
    }

    /// <summary>Writes a plan's adapter.</summary>
    public static AdapterReport Write(
        AdapterPlan plan,
        AdapterOptions options,
        string output,
        IProgress<MergeProgress>? progress,
        CancellationToken cancellation) =>
        new AdapterWriter(plan, options, output, progress, cancellation).Run();

    private AdapterReport Run()
    {
        OutputFolder.RefuseInside(_output, _plan.Inputs);
        var store = new DirectoryOutputStore(_output);
        OutputLayout existing = Existing();
        using var folder = OutputFolder.Open(store, _output, existing, _plan.Record, _options.Restart);
        bool reused = folder.Finished.Count > 0;
        OutputLayout layout = reused ? existing : Compute(folder);
        if (!reused)
        {
            long needed = layout.Shards[0].FileLength;
            if (needed > store.FreeBytes)
                throw new IOException($"{_output}: needs {needed} bytes more, the device has {store.FreeBytes} free");
            folder.Publish(WriteWeights(folder, layout.Shards[0]));
        }

        AdapterModuleReport[] modules = [.. reused ? Stored(layout) : _computed.Select(Report)];
        if (!folder.IsComplete)
            folder.Complete(layout, AdapterFiles.Of(_plan, modules));
        Tell(_plan.Modules.Count, "");
        return new AdapterReport
        {
            Output = _output,
            Modules = modules,
            OtherTensors = layout.Shards[0].Tensors.Count - (2 * modules.Length),
            Bytes = layout.Shards[0].FileLength,
            Reused = reused,
            Elapsed = _clock.Elapsed,
            Warnings =
            [
                .. _plan.Warnings,
                .. folder.Finished[AdapterPlan.WeightsFile].NonFinite.Select(
                    found => $"{found.Key}: {found.Value} elements are NaN or infinite"),
                .. folder.Warnings,
            ],
        };
    }

    private static AdapterModuleReport Report((AdapterModule Module, int Part, int Rank, double? Captured) found) =>
        new(found.Module.Name, found.Rank, found.Captured);

    // What an adapter that is there already holds; its header says where, and the record of its writing whether it is
    // as it was written.
    private OutputLayout Existing()
    {
        string path = Path.Combine(_output, AdapterPlan.WeightsFile);
        try
        {
            if (Path.Exists(path))
            {
                using var stored = Checkpoint.Open(path);
                return Layout(stored.Tensors.Select(t => new TensorSpec(t.Name, t.Dtype, t.Shape)));
            }
        }
        catch (Exception e) when (e is SafetensorsException or SourceUnavailableException)
        {
            // Damaged: it is written again.
        }

        return Layout([]);
    }

    private static OutputLayout Layout(IEnumerable<TensorSpec> tensors) => OutputLayout.Plan(
        [.. tensors], null, long.MaxValue, Path.GetFileNameWithoutExtension(AdapterPlan.WeightsFile));

    private IEnumerable<AdapterModuleReport> Stored(OutputLayout layout) =>
        from module in _plan.Modules
        where layout.TryGet(module.NameOfA, out _)
        select new AdapterModuleReport(module.Name, RankIn(layout, module), null);

    private static int RankIn(OutputLayout layout, AdapterModule module) =>
        layout.TryGet(module.NameOfA, out var a) ? (int)a.Shape[0] : 0;

    /// <summary>Computes what no earlier run has, one module after the other.</summary>
    private OutputLayout Compute(OutputFolder folder)
    {
        int threads = ThreadTeam.Size(_options.Threads);
        using var backend = new CpuBackend();
        using var team = new WorkerTeam(backend, threads, _cancellation);
        for (int i = 0; i < _plan.Modules.Count; i++)
        {
            AdapterModule module = _plan.Modules[i];
            Tell(i, module.Name);
            byte[]? part = folder.ReadPart(i);
            if (part is null || part.Length != PartHead + FactorBytes(module, RankOf(part)))
                folder.WritePart(i, part = Factor(team, module));
            if (RankOf(part) > 0)
                _computed.Add((module, i, RankOf(part), CapturedIn(part)));
        }

        // PEFT loads no adapter without factors, whatever else it holds.
        if (_computed.Count == 0)
        {
            folder.Forget();
            throw new MergeException(MergeError.Models, $"{_output}: no module has a rank above 0: nothing to store");
        }

        return Layout(
            _computed.SelectMany(c => new[] { c.Module.Specs(c.Rank).A, c.Module.Specs(c.Rank).B })
                .Concat(_plan.Others.Select(o => o.Spec)));
    }

    private static int RankOf(ReadOnlySpan<byte> part) =>
        part.Length < PartHead ? 0 : BinaryPrimitives.ReadInt32LittleEndian(part);

    private static double CapturedIn(ReadOnlySpan<byte> part) =>
        BinaryPrimitives.ReadDoubleLittleEndian(part[sizeof(int)..]);

    private static long FactorBytes(AdapterModule module, int rank)
    {
        var (a, b) = module.Specs(rank);
        return (Elements.Count(a.Shape) + Elements.Count(b.Shape)) * Elements.Of(module.Dtype)!.Value.Size();
    }

    private static byte[] Factor(WorkerTeam team, AdapterModule module)
    {
        using LoraPair pair = module.Factor(team);
        int rank = pair.A.Rows;
        byte[] part = new byte[checked((int)(PartHead + FactorBytes(module, rank)))];
        BinaryPrimitives.WriteInt32LittleEndian(part, rank);
        BinaryPrimitives.WriteDoubleLittleEndian(part.AsSpan(sizeof(int)), pair.CapturedEnergy);
        ElementType type = Elements.Of(module.Dtype)!.Value;

        // SAFETY: the array holds the elements of both factors after its head, and is pinned while they are written.
        fixed (byte* bytes = part)
        {
            Operand a = pair.A.View.Data, b = pair.B.View.Data;
            int length = rank * pair.A.Columns;
            Conversion.Round(a, new Operand(type, bytes + PartHead), length);
            Conversion.Round(b, new Operand(type, bytes + PartHead + (length * type.Size())), pair.B.Rows * rank);
        }

        return part;
    }

    // The weights count only if their sources are still what they were when they are written.
    private ShardRecord WriteWeights(OutputFolder folder, ShardLayout shard)
    {
        try
        {
            using var file = folder.Begin(shard);
            file.Write(0, shard.Header.Span);
            var places = shard.Tensors.ToDictionary(t => t.Name);
            var (checksums, nonFinite) = (new Dictionary<string, uint>(), new Dictionary<string, long>());
            foreach (var (module, index, rank, _) in _computed)
            {
                byte[] part = folder.ReadPart(index)
                    ?? throw new IOException($"{_output}: the factors of {module.Name} cannot be read again");
                int lengthOfA = (int)places[module.NameOfA].ByteLength;
                Put(module.NameOfA, sink => sink.Write(0, part.AsSpan(PartHead, lengthOfA)));
                Put(module.NameOfB, sink => sink.Write(0, part.AsSpan(PartHead + lengthOfA)));
            }

            foreach (var (spec, input) in _plan.Others)
            {
                Tell(_plan.Modules.Count, input.Name);
                Put(spec.Name, sink => Copy(input, spec.Dtype, sink));
            }

            foreach (var input in _plan.Inputs)
                input.Source.CheckUnchanged();
            uint header = Crc32C.Of(shard.Header.Span);
            return new ShardRecord(shard.FileName, shard.FileLength, header, checksums, nonFinite);

            void Put(string name, Action<TensorSink> write)
            {
                PlacedTensor place = places[name];
                var sink = new TensorSink(file, place.Offset, Elements.Of(place.Dtype), static _ => { });
                write(sink);
                checksums.Add(name, sink.Checksum(place.ByteLength));
                if (sink.NonFinite > 0)
                    nonFinite.Add(name, sink.NonFinite);
            }
        }
        catch
        {
            folder.Abandon(shard);
            throw;
        }
    }

    private void Copy(ModelTensor input, Dtype dtype, TensorSink sink)
    {
        ElementType from = Elements.Of(input.Dtype)!.Value, to = Elements.Of(dtype)!.Value;
        byte* stored = (byte*)NativeMemory.Alloc(2 * Window * sizeof(double));
        byte* room = stored + (Window * sizeof(double));
        try
        {
            for (long first = 0; first < input.ElementCount; first += Window)
            {
                _cancellation.ThrowIfCancellationRequested();
                int count = (int)Math.Min(Window, input.ElementCount - first);

                // SAFETY: each half of the memory holds a window of the largest type.
                byte* bytes = input.Fetch(first * from.Size(), (nint)count * from.Size(), stored);
                if (from != to)
                {
                    Conversion.Round(new Operand(from, bytes), new Operand(to, room), count);
                    bytes = room;
                }

                sink.Write(first * to.Size(), new ReadOnlySpan<byte>(bytes, count * to.Size()));
            }
        }
        finally
        {
            NativeMemory.Free(stored);
        }
    }

    // Modules count by the bytes of the matrices that they stand for.
    private void Tell(int modules, string tensor)
    {
        if (_progress is null)
            return;
        long done = _plan.Modules.Take(modules).Sum(Bytes), total = _plan.Modules.Sum(Bytes);
        _progress.Report(new MergeProgress(
            done, total, modules, _plan.Modules.Count, AdapterPlan.WeightsFile, tensor, done, _clock.Elapsed));

        static long Bytes(AdapterModule module) => module.Elements * Elements.Of(module.Dtype)!.Value.Size();
    }
}
