namespace FusionKernels.Safetensors;

/// <summary>Turns the value of a pickle into tensors with places in the file, checked against the archive.</summary>
internal static class StateDict
{
    /// <summary>
    /// The tensors of a dict from names to tensors, or of the dict under its key <c>state_dict</c>, in the order of
    /// their bytes. Numbers, strings and None among them are no weights and are left out.
    /// </summary>
    public static TensorInfo[] Tensors(object? root, ZipArchive archive)
    {
        List<(object? Key, object? Value)> entries = Entries(root, archive);
        if (entries.FirstOrDefault(e => e.Key is "state_dict").Value is { } inner) entries = Entries(inner, archive);

        var storages = new Dictionary<string, ZipEntry>();
        var byName = new Dictionary<string, TensorInfo>();
        foreach ((object? key, object? value) in entries)
        {
            if (value is null or bool or long or double or string) continue;
            if (key is not string name) throw NoStateDict(archive, "a key that is no text");
            if (value is not PickledTensor tensor) throw NoStateDict(archive, $"'{name}', which is no tensor");
            if (!byName.TryAdd(name, Place(name, tensor, storages, archive)))
            {
                throw archive.Invalid(FormatError.DuplicateKey, name, "occurs twice");
            }
        }

        if (byName.Count == 0) throw archive.Invalid(FormatError.InvalidPickle, null, "the pickle holds no tensor");
        return [.. byName.Values.OrderBy(t => t.Begin).ThenBy(t => t.End).ThenBy(t => t.Name, Utf8Order.Instance)];
    }

    private static List<(object? Key, object? Value)> Entries(object? value, ZipArchive archive) =>
        value is PickleDict dict ? dict.Entries ?? [] : throw NoStateDict(archive, "something other than a dict");

    private static TensorInfo Place(
        string name, PickledTensor tensor, Dictionary<string, ZipEntry> storages, ZipArchive archive)
    {
        PickledStorage storage = tensor.Storage;
        if (!storages.TryGetValue(storage.Key, out ZipEntry entry))
        {
            entry = archive.Find("data/" + storage.Key) ?? throw archive.Invalid(
                FormatError.TensorInvalidInfo, name, $"its storage data/{storage.Key} is missing");
            storages.Add(storage.Key, entry);
        }

        int elementBytes = tensor.Dtype.Bits() / 8, storedBytes = (storage.Dtype?.Bits() ?? 8) / 8;
        if (entry.Length % storedBytes != 0 || entry.Length / storedBytes != storage.Count)
        {
            throw archive.Invalid(
                FormatError.TensorInvalidInfo,
                name,
                $"its storage has {entry.Length} bytes, not {storage.Count} elements");
        }

        if (TensorSize.Measure(tensor.Dtype, tensor.Shape, out ulong bytes) is { } error)
        {
            throw archive.Invalid(error, name, "its size exceeds 64 bits");
        }

        if (!IsContiguous(tensor, bytes))
        {
            throw archive.Invalid(
                FormatError.NotContiguous,
                name,
                "is a transposed or strided view; save it with .contiguous(), or convert the file to safetensors");
        }

        if (tensor.Offset < 0 || tensor.Offset > entry.Length / elementBytes
            || bytes > (ulong)(entry.Length - (tensor.Offset * elementBytes)))
        {
            throw archive.Invalid(FormatError.TensorInvalidInfo, name, "reaches beyond its storage");
        }

        long begin = entry.Begin + (tensor.Offset * elementBytes);
        return new TensorInfo(name, tensor.Dtype, tensor.Shape, begin, begin + (long)bytes);
    }

    // From the last dimension on, each stride is the number of elements below it; a dimension of one element may have
    // any, and of an empty tensor they mean nothing.
    private static bool IsContiguous(PickledTensor tensor, ulong bytes)
    {
        if (tensor.Strides.Length != tensor.Shape.Length) return false;
        long below = 1;
        for (int i = tensor.Shape.Length - 1; i >= 0 && bytes > 0; i--)
        {
            if (tensor.Shape[i] != 1 && tensor.Strides[i] != below) return false;
            below *= tensor.Shape[i];
        }

        return true;
    }

    private static SafetensorsException NoStateDict(ZipArchive archive, string what) => archive.Invalid(
        FormatError.InvalidPickle, null, $"the pickle holds {what}; a checkpoint is a dict from names to tensors");
}
