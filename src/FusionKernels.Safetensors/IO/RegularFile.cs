using System.Runtime.InteropServices;
using FusionKernels.Safetensors.Native;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>
/// Opens regular files and nothing else, without ever blocking: a FIFO, socket, device or folder is refused at once.
/// The one place where Linux and the systems served by plain .NET part ways.
/// </summary>
internal static class RegularFile
{
    /// <summary>Opens for reading and takes the stamp from the open handle.</summary>
    public static SafeFileHandle OpenRead(string path, bool noFollow, out SourceStamp stamp) =>
        LibC.IsAvailable ? OpenNative(path, LibC.O_RDONLY, noFollow, out stamp)
        : OpenPortable(path, FileAccess.Read, noFollow, out stamp);

    /// <summary>Opens an existing file for reading and writing; never through a symbolic link.</summary>
    public static SafeFileHandle OpenWrite(string path) =>
        LibC.IsAvailable ? OpenNative(path, LibC.O_RDWR, noFollow: true, out _)
        : OpenPortable(path, FileAccess.ReadWrite, noFollow: true, out _);

    /// <summary>The stamp of whatever is at the path.</summary>
    public static SourceStamp Stamp(string path, bool noFollow)
    {
        if (LibC.IsAvailable)
        {
            return LibC.TryStat(path, noFollow, out LibC.Statx status)
                ? status.Stamp
                : throw Unavailable(path, Marshal.GetLastPInvokeError());
        }

        FileSystemInfo info = Directory.Exists(path) ? new DirectoryInfo(path) : new FileInfo(path);
        return info.Exists ? PortableStamp(info) : throw Unavailable(path, LibC.ENOENT);
    }

    private static SafeFileHandle OpenNative(string path, int flags, bool noFollow, out SourceStamp stamp)
    {
        // O_NONBLOCK: opening a FIFO would otherwise wait for its writer, before its kind can be asked.
        SafeFileHandle file = LibC.Open(path, flags | LibC.O_NONBLOCK | (noFollow ? LibC.O_NOFOLLOW : 0));
        if (file.IsInvalid)
        {
            SourceUnavailableException reason = Unavailable(path, Marshal.GetLastPInvokeError());
            file.Dispose();
            throw reason;
        }

        if (LibC.TryStat(file, out LibC.Statx status) && status.IsRegular)
        {
            stamp = status.Stamp;
            return file;
        }

        file.Dispose();
        throw new SourceUnavailableException(path, $"is {status.Kind}, not a regular file");
    }

    private static SafeFileHandle OpenPortable(string path, FileAccess access, bool noFollow, out SourceStamp stamp)
    {
        try
        {
            var info = new FileInfo(path);
            if (Directory.Exists(path)) throw new SourceUnavailableException(path, "is a folder, not a regular file");
            if (noFollow && info.LinkTarget is not null) throw Unavailable(path, LibC.ELOOP);
            SafeFileHandle file = File.OpenHandle(path, FileMode.Open, access, FileShare.ReadWrite | FileShare.Delete);
            stamp = PortableStamp(info);
            return file;
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not SourceUnavailableException)
        {
            throw new SourceUnavailableException(path, "cannot be opened: " + e.Message, e);
        }
    }

    private static SourceStamp PortableStamp(FileSystemInfo info)
    {
        FileSystemInfo target = info.ResolveLinkTarget(returnFinalTarget: true) ?? info;
        return new(
            Device: 0,
            Inode: 0,
            target is FileInfo file ? file.Length : 0,
            (target.LastWriteTimeUtc.Ticks - DateTime.UnixEpoch.Ticks) * TimeSpan.NanosecondsPerTick,
            (target.CreationTimeUtc.Ticks - DateTime.UnixEpoch.Ticks) * TimeSpan.NanosecondsPerTick);
    }

    private static SourceUnavailableException Unavailable(string path, int error) => new(path, error switch
    {
        LibC.ENOENT when new FileInfo(path).LinkTarget is not null => "is a symbolic link to nothing",
        LibC.ENOENT or LibC.ENOTDIR => "does not exist",
        LibC.ELOOP => "is a symbolic link that may not be followed, or goes in circles",
        LibC.EACCES or LibC.EPERM => "permission denied",
        _ => "cannot be opened: " + Marshal.GetPInvokeErrorMessage(error),
    });
}
