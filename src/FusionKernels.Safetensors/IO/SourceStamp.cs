namespace FusionKernels.Safetensors;

/// <summary>
/// What identifies a file and its state. Two equal stamps mean the same unchanged file, up to same-length writes within
/// the clock's resolution. Where the system has no such notion, <see cref="Device"/> and <see cref="Inode"/> are 0.
/// </summary>
/// <param name="Device">The device number.</param>
/// <param name="Inode">The inode number.</param>
/// <param name="Size">Bytes.</param>
/// <param name="ModifiedNs">Time of the last write, in ns since 1970.</param>
/// <param name="ChangedNs">Time of the last change of the inode, in ns since 1970.</param>
public readonly record struct SourceStamp(ulong Device, ulong Inode, long Size, long ModifiedNs, long ChangedNs)
{
    /// <summary>The stamp of a file or folder, following symbolic links.</summary>
    /// <exception cref="SourceUnavailableException">There is nothing at <paramref name="path"/>, or no permission.
    /// </exception>
    public static SourceStamp Of(string path) => RegularFile.Stamp(Path.GetFullPath(path), noFollow: false);

    internal string DifferenceTo(SourceStamp now) =>
        (Device, Inode) != (now.Device, now.Inode) ? "another file was put in its place"
        : Size != now.Size ? $"its size went from {Size} to {now.Size} bytes"
        : "it was written to";
}
