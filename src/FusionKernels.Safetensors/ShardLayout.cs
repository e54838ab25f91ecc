namespace FusionKernels.Safetensors;

/// <summary>One file of a layout.</summary>
public sealed class ShardLayout
{
    internal ShardLayout(
        int index, string fileName, TensorInfo[] tensors, IReadOnlyDictionary<string, string> metadata)
    {
        Index = index;
        FileName = fileName;
        byte[] header = HeaderWriter.Write(tensors, metadata, fileName);
        Header = header;
        FileLength = checked(header.Length + (tensors.Length == 0 ? 0 : tensors[^1].End));
        Tensors = Array.ConvertAll(
            tensors,
            t => new PlacedTensor(t.Name, t.Dtype, t.Shape, index, header.Length + t.Begin, t.ByteLength));
    }

    /// <summary>Its place in <see cref="OutputLayout.Shards"/>.</summary>
    public int Index { get; }

    /// <summary><c>model.safetensors</c>, or <c>model-00001-of-00004.safetensors</c>.</summary>
    public string FileName { get; }

    /// <summary>The first bytes of the file: header length, header, padding. A multiple of 8.</summary>
    public ReadOnlyMemory<byte> Header { get; }

    /// <summary>Bytes of the file.</summary>
    public long FileLength { get; }

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<PlacedTensor> Tensors { get; }
}
