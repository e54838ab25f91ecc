namespace FusionKernels.Safetensors;

/// <summary>An output that may not be created or opened: permission, read-only file system, wrong kind, name taken.
/// </summary>
public sealed class OutputUnavailableException : IOException
{
    /// <summary>Names the file and why it cannot be had.</summary>
    public OutputUnavailableException(string path, string message, Exception? innerException = null)
        : base($"{path}: {message}", innerException) => Path = path;

    /// <summary>The output.</summary>
    public string Path { get; }
}
