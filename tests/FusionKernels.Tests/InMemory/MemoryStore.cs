using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>An output folder that exists only in memory.</summary>
internal sealed class MemoryStore : IOutputStore
{
    private readonly Dictionary<string, byte[]> _files = [];

    public long FreeBytes => long.MaxValue;

    public byte[] this[string name] => _files[name];

    public IReadOnlyList<string> List() => _files.Keys.Select(n => n.Split('/')[0]).Distinct().Order(StringComparer.Ordinal).ToArray();

    public bool Exists(string name) => _files.ContainsKey(name);

    public IOutputFile CreatePartial(string name, long length) =>
        new MemoryFile(_files[name + IOutputStore.PartialSuffix] = new byte[length]);

    public IOutputFile OpenPartial(string name) => new MemoryFile(_files[name + IOutputStore.PartialSuffix]);

    public IOutputFile OpenPublished(string name) => new MemoryFile(_files[name]);

    public void Publish(string name)
    {
        _files[name] = _files[name + IOutputStore.PartialSuffix];
        _files.Remove(name + IOutputStore.PartialSuffix);
    }

    public void Delete(string name) => _files.Remove(name);

    public byte[] ReadAll(string name) => _files[name];

    public void WriteAll(string name, ReadOnlySpan<byte> content) => _files[name] = content.ToArray();

    public void Append(string name, ReadOnlySpan<byte> content) =>
        _files[name] = [.. _files.GetValueOrDefault(name, []), .. content];

    public IDisposable Lock(string name) => new Unlock();

    private sealed class Unlock : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private sealed class MemoryFile(byte[] bytes) : IOutputFile
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

        public void Dispose()
        {
        }
    }
}
