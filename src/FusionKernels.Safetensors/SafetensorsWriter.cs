namespace FusionKernels.Safetensors;

/// <summary>Writes tensors that are in memory. For more than that, plan an <see cref="OutputLayout"/>.</summary>
public static class SafetensorsWriter
{
    /// <summary>
    /// Writes one file, crash-safe: under its final name it is complete, and an older file of that name stays until
    /// then.
    /// </summary>
    /// <param name="path">The file; its folder is created if need be.</param>
    /// <param name="tensors">The tensors with their bytes, row-major, little endian.</param>
    /// <param name="metadata">The <c>__metadata__</c>; null for <c>{"format":"pt"}</c>, empty for none.</param>
    /// <exception cref="ArgumentException">Bytes do not have the length of their shape and type, or a name is refused
    /// by <see cref="OutputLayout.Plan"/>.</exception>
    /// <exception cref="OutputUnavailableException">The file may not be created.</exception>
    /// <exception cref="IOException">The device failed or is full.</exception>
    public static void Write(
        string path,
        IReadOnlyList<(TensorSpec Tensor, ReadOnlyMemory<byte> Data)> tensors,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        OutputLayout layout = OutputLayout.Plan([.. tensors.Select(t => t.Tensor)], metadata, long.MaxValue);
        ShardLayout shard = layout.Shards[0];
        var placed = new List<(long Offset, ReadOnlyMemory<byte> Data)>(tensors.Count);
        foreach ((TensorSpec tensor, ReadOnlyMemory<byte> data) in tensors)
        {
            if (!layout.TryGet(tensor.Name, out PlacedTensor? place) || data.Length != place.ByteLength)
            {
                throw new ArgumentException($"'{tensor.Name}' comes with {data.Length} bytes, its shape needs others");
            }

            placed.Add((place.Offset, data));
        }

        string fullPath = Path.GetFullPath(path);
        string name = Path.GetFileName(fullPath);
        var store = new DirectoryOutputStore(Path.GetDirectoryName(fullPath)!);
        using (IOutputFile file = store.CreatePartial(name, shard.FileLength))
        {
            file.Write(0, shard.Header.Span);
            foreach ((long offset, ReadOnlyMemory<byte> data) in placed) file.Write(offset, data.Span);
        }

        store.Publish(name);
    }
}
