namespace FusionKernels.Safetensors;

/// <summary>How the bytes of a file are reached.</summary>
public enum SourceAccess
{
    /// <summary>
    /// Maps a file on a local file system and reads one on a network file system, where a failed page-in of a map
    /// would end the process. Reads as well where mapping is refused.
    /// </summary>
    Auto,

    /// <summary>Maps, whatever the file system; reads only where mapping is refused.</summary>
    Map,

    /// <summary>Reads by positional reads, never maps.</summary>
    Read,
}
