using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>An output folder that exists only in memory.</summary>
internal sealed class MemoryStore : IOutputStore
{
    private readonly Dictionary<string, byte[]> _files = [];

    public MemoryStore()
    {
    }

    /// <summary>A store with the files of another.</summary>
    public MemoryStore(MemoryStore other) => _files = other._files.ToDictionary(f => f.Key, f => f.Value.ToArray());

    public long FreeBytes => long.MaxValue;

    /// <summary>All files, those under unfinished names too.</summary>
    public IReadOnlyDictionary<string, byte[]> Files => _files;

    /// <summary>Files and locks that are open.</summary>
    public int Open { get; private set; }

    public byte[] this[string name]
    {
        get => _files[name];
        set => _files[name] = value;
    }

    public IReadOnlyList<string> List() =>
        _files.Keys.Select(n => n.Split('/')[0]).Distinct().Order(StringComparer.Ordinal).ToArray();

    public bool Exists(string name) => _files.ContainsKey(name);

    public IOutputFile CreatePartial(string name, long length)
    {
        _files[name + IOutputStore.PartialSuffix] = new byte[length];
        return OpenPartial(name);
    }

    public IOutputFile OpenPartial(string name) => OpenPublished(name + IOutputStore.PartialSuffix);

    public IOutputFile OpenPublished(string name)
    {
        var file = new MemoryFile(this, _files[name]);
        Open++;
        return file;
    }

    public void Publish(string name)
    {
        _files[name] = _files[name + IOutputStore.PartialSuffix];
        _files.Remove(name + IOutputStore.PartialSuffix);
    }

    public void Delete(string name)
    {
        if (_files.Keys.Any(n => n.StartsWith(name + "/", StringComparison.Ordinal)))
            throw new IOException($"{name}: the folder is not empty");
        _files.Remove(name);
    }

    public byte[] ReadAll(string name) => _files[name].ToArray();

    public void WriteAll(string name, ReadOnlySpan<byte> content)
    {
        using (var file = CreatePartial(name, content.Length))
            file.Write(0, content);
        Publish(name);
    }

    public void Append(string name, ReadOnlySpan<byte> content) =>
        _files[name] = [.. _files.GetValueOrDefault(name, []), .. content];

    public IDisposable Lock(string name)
    {
        _files[name] = [];
        Open++;
        return new Closing(this);
    }

    private class Closing(MemoryStore store) : IDisposable
    {
        private bool _closed;

        public void Dispose()
        {
            if (!_closed)
                store.Open--;
            _closed = true;
        }
    }

    private sealed class MemoryFile(MemoryStore store, byte[] bytes) : Closing(store), IOutputFile
    {
        public long Length => bytes.Length;

        public int Read(long offset, Span<byte> destination)
        {
            var source = bytes.AsSpan((int)offset);
            int count = Math.Min(source.Length, destination.Length);
            source[..count].CopyTo(destination);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> content) => content.CopyTo(bytes.AsSpan((int)offset));

        public void FlushToDisk()
        {
        }
    }
}
