namespace FusionKernels.Safetensors;

/// <summary>An input that changed after it was opened: what was read from it must not be used.</summary>
public sealed class SourceChangedException : IOException
{
    /// <summary>Names the file and what changed.</summary>
    public SourceChangedException(string path, string message)
        : base($"{path}: changed while it was read: {message}") => Path = path;

    /// <summary>The input.</summary>
    public string Path { get; }
}
