namespace FusionKernels.Safetensors;

/// <summary>How files are opened and read.</summary>
public sealed record SafetensorsOptions
{
    /// <summary>Map or read; <see cref="SourceAccess.Auto"/> by default.</summary>
    public SourceAccess Access { get; init; }

    /// <summary>
    /// Refuses a file that is itself a symbolic link. Off by default, since the Hugging Face cache consists of links.
    /// </summary>
    public bool NoFollow { get; init; }

    /// <summary>Accepts bytes after the last tensor, which the format forbids. Off by default.</summary>
    public bool AllowTrailingBytes { get; init; }

    internal static SafetensorsOptions Default { get; } = new();
}
