using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// A safetensors file of a golden folder, read by itself so that the product's reader is not judged by its own eyes.
/// </summary>
internal sealed class GoldenFile
{
    private static readonly ConcurrentDictionary<string, GoldenFile> s_files = new();
    private readonly Dictionary<string, GoldenTensor> _tensors = [];

    private GoldenFile(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        foreach (var entry in header.RootElement.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            var offsets = entry.Value.GetProperty("data_offsets");
            int begin = 8 + headerLength + offsets[0].GetInt32(), end = 8 + headerLength + offsets[1].GetInt32();
            long[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64())];
            _tensors[entry.Name] = new(entry.Value.GetProperty("dtype").GetString()!, shape, file[begin..end]);
        }
    }

    /// <summary>Names in the file.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>A tensor by name.</summary>
    public GoldenTensor this[string name] => _tensors[name];

    /// <summary>Reads a file that no test changes, once.</summary>
    public static GoldenFile Open(string path) => s_files.GetOrAdd(path, p => new GoldenFile(p));

    /// <summary>Reads a file that a test wrote.</summary>
    public static GoldenFile Read(string path) => new(path);
}
