namespace FusionKernels.Safetensors;

/// <summary>A dict or OrderedDict of a pickle: its entries as they were added.</summary>
internal sealed class PickleDict
{
    /// <summary>Keys and values; null until there is one, since a file can ask for millions of empty dicts.</summary>
    public List<(object? Key, object? Value)>? Entries { get; set; }
}
