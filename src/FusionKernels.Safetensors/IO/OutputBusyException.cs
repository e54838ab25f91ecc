namespace FusionKernels.Safetensors;

/// <summary>An output that another process is writing.</summary>
public sealed class OutputBusyException : IOException
{
    /// <summary>Names the lock file and its holder.</summary>
    public OutputBusyException(string path, int? holderPid)
        : base($"{path}: is locked by {(holderPid is null ? "another process" : $"process {holderPid}")}")
    {
        Path = path;
        HolderPid = holderPid;
    }

    /// <summary>The lock file.</summary>
    public string Path { get; }

    /// <summary>The process that holds the lock, where it can be told.</summary>
    public int? HolderPid { get; }
}
