namespace FusionKernels.Safetensors;

/// <summary>An input that is missing, unreadable, or no regular file. Its content was never looked at.</summary>
public sealed class SourceUnavailableException : IOException
{
    /// <summary>Names the file and why it cannot be read.</summary>
    public SourceUnavailableException(string path, string message, Exception? innerException = null)
        : base($"{path}: {message}", innerException) => Path = path;

    /// <summary>The input.</summary>
    public string Path { get; }
}
