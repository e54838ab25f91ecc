using FusionKernels.Safetensors;

namespace FusionKernels.Cli;

/// <summary>What the tool's exit status means, and the one place that says which failure gets which.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    public const int Ok = 0;

    /// <summary>A bug of the tool; the demo also ends so when its figures disagree.</summary>
    public const int Bug = 1;

    /// <summary>Wrong usage: command line, recipe, or an output that belongs to another merge.</summary>
    public const int Usage = 2;

    /// <summary>Bad data: an invalid or damaged file, models that do not fit together.</summary>
    public const int BadData = 65;

    /// <summary>An input is missing or cannot be read.</summary>
    public const int NoInput = 66;

    /// <summary>The output cannot be created.</summary>
    public const int CannotCreate = 73;

    /// <summary>An I/O error: disk full, a source that changed while it was read.</summary>
    public const int IoError = 74;

    /// <summary>Another process works on the same output.</summary>
    public const int Busy = 75;

    /// <summary>Stopped by Ctrl-C (SIGINT).</summary>
    public const int Interrupted = 130;

    /// <summary>Stopped by SIGTERM.</summary>
    public const int Terminated = 143;

    /// <summary>The exit code of a failure.</summary>
    public static int Of(Exception failure) => failure switch
    {
        MergeException { Kind: MergeError.Recipe or MergeError.Changed } => Usage,
        MergeException { Kind: MergeError.Models or MergeError.Corrupt } => BadData,
        MergeException => CannotCreate,
        SafetensorsException => BadData,
        SourceUnavailableException => NoInput,
        OutputUnavailableException or UnauthorizedAccessException => CannotCreate,
        OutputBusyException => Busy,
        IOException => IoError,
        _ => Bug,
    };
}
