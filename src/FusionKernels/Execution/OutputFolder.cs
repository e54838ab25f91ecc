using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// The output's protocol. While a merge runs, <c>.fusionkernels/</c> holds its lock, its plan's record, a journal with a
/// line for each finished shard, and what else was computed that no shard has yet (parts). A shard is published (synced,
/// renamed) before its line is written, the index comes last. So at any moment a final name is absent or complete, and a
/// later run with the same plan goes on after the last journaled shard.
/// </summary>
internal sealed class OutputFolder : IDisposable
{
    /// <summary>What a finished merge leaves to verify it by.</summary>
    public const string RecordFile = "fusionkernels.json";

    private const string State = ".fusionkernels";
    private const string LockFile = State + "/lock", PlanFile = State + "/plan.json", JournalFile = State + "/journal.jsonl";
    private readonly IOutputStore _store;
    private readonly IDisposable _lock;
    private readonly string _path;
    private readonly PlanRecord _record;

    // Small files of a finished merge that were changed since: someone's work.
    private string[] _changed = [];

    private OutputFolder(IOutputStore store, string path, IDisposable locked, PlanRecord record)
    {
        (_store, _path, _lock, _record) = (store, path, locked, record);
    }

    /// <summary>The shards that an earlier run finished, by file name; their bytes were checked again.</summary>
    public Dictionary<string, ShardRecord> Finished { get; } = [];

    /// <summary>Whether an earlier run finished the whole merge.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>A line for each file of the output that stays as someone changed it.</summary>
    public IEnumerable<string> Warnings => _changed.Select(name =>
        $"{Path.Combine(_path, name)}: was changed since it was written, and stays so; only a restart replaces it");

    /// <summary>Takes the output for a plan: empty, or left by a run of the same plan.</summary>
    /// <param name="store">The output.</param>
    /// <param name="path">The output as messages name it.</param>
    /// <param name="layout">Where finished shards have their tensors.</param>
    /// <param name="record">The plan.</param>
    /// <param name="restart">Whether what another plan left is thrown away.</param>
    /// <exception cref="MergeException">It holds foreign files, or another merge.</exception>
    /// <exception cref="OutputBusyException">Another process is writing it.</exception>
    public static OutputFolder Open(
        IOutputStore store, string path, OutputLayout layout, PlanRecord record, bool restart)
    {
        var foreign = store.List();
        if (!foreign.Contains(State) && !foreign.Contains(RecordFile) && foreign.Count > 0)
        {
            throw new MergeException(
                MergeError.Output, $"{path}: the output folder holds '{foreign[0]}', which no merge of ours wrote");
        }

        var folder = new OutputFolder(store, path, store.Lock(LockFile), record);
        try
        {
            folder.Resume(layout, restart);
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Refuses an output that is, or lies in, the folder of an input; links are followed.</summary>
    /// <exception cref="MergeException">It does.</exception>
    public static void RefuseInside(string output, IEnumerable<ShardFile> sources)
    {
        var inputs = sources.Select(s => Path.GetDirectoryName(s.Path)!).Distinct()
            .DistinctBy(f => Identity(SourceStamp.Of(f))).ToDictionary(f => Identity(SourceStamp.Of(f)));
        for (string? folder = Path.GetFullPath(output); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(folder) && inputs.TryGetValue(Identity(SourceStamp.Of(folder)), out string? input))
                throw new MergeException(MergeError.Output, $"{output}: the output lies in the input folder {input}");
        }

        static (ulong, ulong) Identity(SourceStamp stamp) => (stamp.Device, stamp.Inode);
    }

    /// <summary>Starts a shard; its final name stays absent until <see cref="Publish"/>.</summary>
    public IOutputFile Begin(ShardLayout shard) => _store.CreatePartial(shard.FileName, shard.FileLength);

    /// <summary>Throws an unfinished shard away.</summary>
    public void Abandon(ShardLayout shard) => _store.Delete(shard.FileName + IOutputStore.PartialSuffix);

    /// <summary>Gives a computed shard its name and notes it in the journal.</summary>
    public void Publish(ShardRecord shard)
    {
        _store.Publish(shard.File);

        // The line break comes first, so that a line that an earlier run left torn does not swallow this one.
        byte[] line = JsonSerializer.SerializeToUtf8Bytes(shard, RecordJson.Default.ShardRecord);
        _store.Append(JournalFile, [(byte)'\n', .. line]);
        Finished[shard.File] = shard;
    }

    /// <summary>A part of the work that a run of the same plan has done; <c>null</c> where there is none.</summary>
    public byte[]? ReadPart(int index)
    {
        if (!_store.Exists(PartFile(index)))
            return null;
        byte[] bytes = _store.ReadAll(PartFile(index));
        int length = bytes.Length - sizeof(uint);
        bool intact = length >= 0
            && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(length)) == Crc32C.Of(bytes.AsSpan(0, length));
        return intact ? bytes[..length] : null;
    }

    /// <summary>Keeps a part of the work, counted from 0 without gaps, until the output is complete.</summary>
    public void WritePart(int index, ReadOnlySpan<byte> content)
    {
        byte[] bytes = [.. content, .. stackalloc byte[sizeof(uint)]];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(content.Length), Crc32C.Of(content));
        _store.WriteAll(PartFile(index), bytes);
    }

    /// <summary>Writes the small files, the record, and last the index; then the merge's own state goes.</summary>
    public void Complete(OutputLayout layout, IReadOnlyList<(string Name, byte[] Bytes)> files)
    {
        var records = new Dictionary<string, FileRecord>();
        foreach (var (name, bytes) in files)
            Put(name, bytes);
        if (layout.IndexJson is { } index)
            records[OutputLayout.IndexFileName] = new FileRecord(index.Length, Crc32C.Of(index.Span));
        var record = new OutputRecord
        {
            Version = typeof(OutputFolder).Assembly.GetName().Version!.ToString(3),
            Plan = _record,
            Shards = layout.Shards.Select(s => Finished[s.FileName]).ToArray(),
            Files = records,
        };
        _store.WriteAll(RecordFile, record.ToBytes());
        if (layout.IndexJson is { } last)
            _store.WriteAll(OutputLayout.IndexFileName, last.Span);
        Forget();

        void Put(string name, byte[] bytes)
        {
            if (!_changed.Contains(name))
                _store.WriteAll(name, bytes);
            records[name] = new FileRecord(bytes.Length, Crc32C.Of(bytes));
        }
    }

    /// <summary>Leaves nothing to go on with, because the work is done or comes to nothing.</summary>
    public void Forget()
    {
        _store.Delete(JournalFile);
        DeleteParts();
        _store.Delete(PlanFile);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        bool idle = false;
        try
        {
            idle = !_store.Exists(PlanFile);
            if (idle)
            {
                _store.Delete(PlanFile + IOutputStore.PartialSuffix);
                _store.Delete(LockFile);
            }
        }
        finally
        {
            _lock.Dispose();
        }

        if (idle)
            _store.Delete(State);
    }

    // The plan's record of an unfinished run comes first: a merge that restarted over a finished one has both.
    private void Resume(OutputLayout layout, bool restart)
    {
        var unfinished = ReadPlan();
        var finished = _store.Exists(RecordFile) ? OutputRecord.Parse(_store.ReadAll(RecordFile)) : null;
        var before = unfinished ?? finished?.Plan;
        bool damaged = before is null && (_store.Exists(PlanFile) || _store.Exists(RecordFile));
        string? difference = before is null ? (damaged ? "the record of the earlier merge cannot be read" : null) : PlanRecord.Difference(before, _record);
        if (difference is not null && !restart)
        {
            string state = unfinished is null ? "a finished merge" : "an unfinished merge";
            throw new MergeException(
                MergeError.Changed,
                $"{_path}: the output holds {state} of another recipe or other sources ({difference}); "
                + "only a restart replaces it");
        }

        if (restart && (before is not null || damaged))
        {
            Wipe(before);
            (unfinished, finished) = (null, null);
        }

        if (finished is not null)
        {
            var files = finished.Files.Where(f => f.Key != OutputLayout.IndexFileName && _store.Exists(f.Key));
            _changed = [.. files.Where(f => !IsIntact(f.Key, f.Value)).Select(f => f.Key)];
        }

        if (unfinished is not null)
        {
            foreach (var shard in Journal())
                Keep(layout, shard);
        }
        else if (finished is not null)
        {
            foreach (var shard in finished.Shards)
                Keep(layout, shard);
            IsComplete = Finished.Count == layout.Shards.Count
                && finished.Files.All(f => _changed.Contains(f.Key) || IsIntact(f.Key, f.Value));
        }

        if (!IsComplete && unfinished is null)
            _store.WriteAll(PlanFile, JsonSerializer.SerializeToUtf8Bytes(_record, RecordJson.Default.PlanRecord));
    }

    private void Keep(OutputLayout planned, ShardRecord shard)
    {
        var layout = planned.Shards.FirstOrDefault(s => s.FileName == shard.File);
        if (layout is null || !_store.Exists(shard.File))
            return;
        using var file = _store.OpenPublished(shard.File);
        if (file.Length == layout.FileLength && Of(0, layout.Header.Length) == shard.HeaderCrc32C
            && layout.Tensors.All(t => shard.Tensors.TryGetValue(t.Name, out uint crc) && Of(t.Offset, t.ByteLength) == crc))
        {
            Finished[shard.File] = shard;
        }

        uint Of(long offset, long length) => Crc32C.OfRange(file.Read, offset, length);
    }

    private bool IsIntact(string name, FileRecord record) =>
        _store.Exists(name) && _store.ReadAll(name) is var bytes && bytes.Length == record.Bytes && Crc32C.Of(bytes) == record.Crc32C;

    // A torn last line is no JSON; its shard is computed again.
    private IEnumerable<ShardRecord> Journal()
    {
        if (!_store.Exists(JournalFile))
            yield break;
        foreach (string line in Encoding.UTF8.GetString(_store.ReadAll(JournalFile)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            ShardRecord? shard = null;
            try
            {
                shard = JsonSerializer.Deserialize(line, RecordJson.Default.ShardRecord);
            }
            catch (JsonException)
            {
            }

            if (shard is not null)
                yield return shard;
        }
    }

    private PlanRecord? ReadPlan()
    {
        if (!_store.Exists(PlanFile))
            return null;
        try
        {
            return JsonSerializer.Deserialize(_store.ReadAll(PlanFile), RecordJson.Default.PlanRecord);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // Only names that a merge of ours gives; the index first, so that no loader takes the rest for a model.
    private void Wipe(PlanRecord? before)
    {
        _store.Delete(OutputLayout.IndexFileName);
        string[] names = [.. (before?.Layout ?? []).Select(s => s.File), .. ModelFiles.Names];
        foreach (string name in names)
            _store.Delete(name);
        foreach (string name in names.Append(OutputLayout.IndexFileName).Append(RecordFile))
            _store.Delete(name + IOutputStore.PartialSuffix);
        _store.Delete(JournalFile);
        _store.Delete(RecordFile);
        DeleteParts();
        _store.Delete(PlanFile);
    }

    // From the last one on, so that an interruption leaves no gap.
    private void DeleteParts()
    {
        int count = 0;
        while (_store.Exists(PartFile(count)))
            count++;
        while (count > 0)
            _store.Delete(PartFile(--count));
    }

    private static string PartFile(int index) =>
        string.Create(CultureInfo.InvariantCulture, $"{State}/part-{index:D5}");
}
