namespace FusionKernels.Safetensors;

/// <summary>
/// Where outputs go, so that a crash at any moment leaves every final name either absent or complete. Big files are
/// written as <c>name.partial</c> and get their name when they are on the device; small ones are replaced as a whole.
/// </summary>
/// <remarks>
/// Names are relative, with forward slashes; folders are made as needed. An implementation never touches a file it was
/// not told to by name.
/// Errors: <see cref="OutputUnavailableException"/> if a file may not be created or opened,
/// <see cref="OutputBusyException"/> if the lock is taken, any other <see cref="IOException"/> if the device failed or
/// is full.
/// </remarks>
public interface IOutputStore
{
    /// <summary>What the name of an unfinished file ends in.</summary>
    public const string PartialSuffix = ".partial";

    /// <summary>Bytes that can still be written.</summary>
    long FreeBytes { get; }

    /// <summary>The files and folders at the top, sorted.</summary>
    IReadOnlyList<string> List();

    /// <summary>Is there anything by this name?</summary>
    bool Exists(string name);

    /// <summary>
    /// Starts <c>name.partial</c> with room for <paramref name="length"/> bytes already taken from the device, in place
    /// of a partial left over by an earlier run.
    /// </summary>
    IOutputFile CreatePartial(string name, long length);

    /// <summary>Opens <c>name.partial</c> of an earlier run, to go on writing it.</summary>
    IOutputFile OpenPartial(string name);

    /// <summary>Opens a published file for reading.</summary>
    IOutputFile OpenPublished(string name);

    /// <summary>
    /// Brings the bytes of <c>name.partial</c> to the device and then gives it its name, which is on the device as well
    /// on return.
    /// </summary>
    void Publish(string name);

    /// <summary>Deletes a file, or an empty folder; it need not exist. Gone from the device on return.</summary>
    void Delete(string name);

    /// <summary>The content of a small file.</summary>
    byte[] ReadAll(string name);

    /// <summary>Replaces a small file in one step; on the device on return.</summary>
    void WriteAll(string name, ReadOnlySpan<byte> content);

    /// <summary>Appends to a journal, creating it if need be; on the device on return.</summary>
    void Append(string name, ReadOnlySpan<byte> content);

    /// <summary>
    /// Takes an exclusive lock until the result is disposed or the process ends in any way. The file stays.
    /// </summary>
    IDisposable Lock(string name);
}
