using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using FusionKernels.Safetensors.Native;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>An output store in a folder. Files are written by positional writes only and get the mode of the umask.
/// </summary>
public sealed class DirectoryOutputStore : IOutputStore
{
    // How .NET reports a lock that is taken: flock's EWOULDBLOCK, or ERROR_SHARING_VIOLATION.
    private const int MacBusy = 35, WindowsBusy = unchecked((int)0x80070020);

    /// <summary>Uses a folder, which is created if it does not exist.</summary>
    /// <exception cref="OutputUnavailableException">It cannot be created.</exception>
    public DirectoryOutputStore(string folder)
    {
        Folder = Path.GetFullPath(folder);
        Attempt(Folder, () => CreateFolder(Folder));
    }

    /// <summary>The full path of the folder.</summary>
    public string Folder { get; }

    /// <inheritdoc/>
    public long FreeBytes =>
        new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(Folder)! : Folder).AvailableFreeSpace;

    /// <inheritdoc/>
    public IReadOnlyList<string> List()
    {
        string[] names = [.. Directory.EnumerateFileSystemEntries(Folder).Select(path => Path.GetFileName(path))];
        Array.Sort(names, StringComparer.Ordinal);
        return names;
    }

    /// <inheritdoc/>
    public bool Exists(string name) => Path.Exists(Resolve(name));

    /// <inheritdoc/>
    public IOutputFile CreatePartial(string name, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        string path = Resolve(name) + IOutputStore.PartialSuffix;
        return Attempt(path, () =>
        {
            CreateFolder(Path.GetDirectoryName(path)!);
            File.Delete(path);
            ThrowIfFull(path, length);
            long room = IsMemory(path) ? 0 : length;
            SafeFileHandle file = File.OpenHandle(
                path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.None, room);
            try
            {
                RandomAccess.SetLength(file, length);
                return new OutputFile(file);
            }
            catch
            {
                file.Dispose();
                File.Delete(path);
                throw;
            }
        });
    }

    /// <inheritdoc/>
    public IOutputFile OpenPartial(string name)
    {
        string path = Resolve(name) + IOutputStore.PartialSuffix;
        return Attempt(path, () => new OutputFile(RegularFile.OpenWrite(path)));
    }

    /// <inheritdoc/>
    public IOutputFile OpenPublished(string name)
    {
        string path = Resolve(name);
        return Attempt(path, () => new OutputFile(RegularFile.OpenRead(path, noFollow: true, out _)));
    }

    /// <inheritdoc/>
    public void Publish(string name)
    {
        string path = Resolve(name);
        string partial = path + IOutputStore.PartialSuffix;
        using (IOutputFile file = OpenPartial(name)) file.FlushToDisk();
        Rename(partial, path);
    }

    /// <inheritdoc/>
    public void Delete(string name)
    {
        string path = Resolve(name);
        Attempt(path, () =>
        {
            var folder = new DirectoryInfo(path);
            string parent = Path.GetDirectoryName(path)!;
            if (!Directory.Exists(parent)) return;
            if (folder.Exists && folder.LinkTarget is null) folder.Delete(recursive: false);
            else File.Delete(path);
            FlushFolder(parent);
        });
    }

    /// <inheritdoc/>
    public byte[] ReadAll(string name)
    {
        using IOutputFile file = OpenPublished(name);
        byte[] content = new byte[file.Length];
        int read = file.Read(0, content);
        return content[..read];
    }

    /// <inheritdoc/>
    public void WriteAll(string name, ReadOnlySpan<byte> content)
    {
        using (IOutputFile file = CreatePartial(name, content.Length)) file.Write(0, content);
        Publish(name);
    }

    /// <inheritdoc/>
    public void Append(string name, ReadOnlySpan<byte> content)
    {
        string path = Resolve(name);
        bool isNew = !File.Exists(path);
        using SafeFileHandle file = Attempt(path, () =>
        {
            CreateFolder(Path.GetDirectoryName(path)!);
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        });
        RandomAccess.Write(file, content, RandomAccess.GetLength(file));
        RandomAccess.FlushToDisk(file);
        if (isNew) FlushFolder(Path.GetDirectoryName(path)!);
    }

    /// <inheritdoc/>
    public IDisposable Lock(string name)
    {
        string path = Resolve(name);
        return Attempt(path, () =>
        {
            CreateFolder(Path.GetDirectoryName(path)!);
            while (true)
            {
                SafeFileHandle file = OpenLock(path);
                if (!LibC.IsAvailable || IsStillAt(path, file)) return WritePid(file);

                // The holder before us deleted the file between our opening and our locking it: what we hold is a
                // lock on a file without a name, which nobody else will ever see.
                file.Dispose();
            }
        });
    }

    private static SafeFileHandle OpenLock(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e.HResult is LibC.EAGAIN or MacBusy or WindowsBusy)
        {
            throw new OutputBusyException(path, ReadPid(path));
        }
    }

    private static bool IsStillAt(string path, SafeFileHandle file) =>
        LibC.TryStat(file, out LibC.Statx held)
        && LibC.TryStat(path, noFollow: true, out LibC.Statx named)
        && (held.Stamp.Device, held.Stamp.Inode) == (named.Stamp.Device, named.Stamp.Inode);

    private static SafeFileHandle WritePid(SafeFileHandle file)
    {
        try
        {
            byte[] pid = Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            RandomAccess.Write(file, pid, 0);
            RandomAccess.SetLength(file, pid.Length);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    // Opened without .NET's own lock, which the holder's would refuse.
    private static int? ReadPid(string path)
    {
        if (!LibC.IsAvailable) return null;
        using SafeFileHandle file = RegularFile.OpenRead(path, noFollow: true, out _);
        Span<byte> text = stackalloc byte[16];
        int length = RandomAccess.Read(file, text, 0);
        return int.TryParse(text[..length], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? pid : null;
    }

    // On disk, room is taken by noting extents; a file system in memory clears every page for it, alone as slow as a
    // merge (0.27 s for 1 GB). There the check of the free space must do.
    private static bool IsMemory(string path)
    {
        if (!LibC.IsAvailable) return false;
        using SafeFileHandle folder = LibC.Open(Path.GetDirectoryName(path)!, LibC.O_RDONLY);
        return !folder.IsInvalid && LibC.FileSystemType(folder) == 0x01021994; // tmpfs
    }

    // The preallocation would find out too, but only after it took all there is, from every other process as well. Some
    // file systems report no free space at all, which says nothing.
    private void ThrowIfFull(string path, long length)
    {
        long free = FreeBytes;
        if (free <= 0 || free >= length) return;
        throw new IOException($"{path}: needs {length} bytes, the disk has {free} left");
    }

    private string Resolve(string name)
    {
        string[] parts = name.Split('/');
        if (parts.Any(part => part is "" or "." or ".." || part.AsSpan().ContainsAny("\\:\0")))
        {
            throw new ArgumentException($"'{name}' is not a relative name inside the folder", nameof(name));
        }

        return Path.Combine([Folder, .. parts]);
    }

    // A rename is durable once the folder is on the device. rename(2) is called directly, since File.Move falls back to
    // copying when the two names are on different devices, which would not be atomic.
    private static void Rename(string from, string to)
    {
        if (!LibC.IsAvailable)
        {
            File.Move(from, to, overwrite: true);
        }
        else if (LibC.Rename(from, to) != 0)
        {
            throw new IOException($"{to}: cannot be renamed to: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        FlushFolder(Path.GetDirectoryName(to)!);
    }

    private static void CreateFolder(string folder)
    {
        if (Directory.Exists(folder)) return;
        if (Path.GetDirectoryName(folder) is not { } parent) return;
        CreateFolder(parent);
        Directory.CreateDirectory(folder);
        FlushFolder(parent);
    }

    // A file system that cannot flush a folder says EINVAL; then a rename is as durable as it gets.
    private static void FlushFolder(string folder)
    {
        if (!LibC.IsAvailable) return;
        using SafeFileHandle handle = LibC.Open(folder, LibC.O_RDONLY);
        if (handle.IsInvalid || (LibC.Fsync(handle) != 0 && Marshal.GetLastPInvokeError() != LibC.EINVAL))
        {
            throw new IOException($"{folder}: cannot be flushed to disk: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    private static void Attempt(string path, Action action) => Attempt(path, () =>
    {
        action();
        return true;
    });

    // Tells "may not be created" from "the device failed", which .NET spreads over several exception types.
    private static T Attempt<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is UnauthorizedAccessException or DirectoryNotFoundException
            or FileNotFoundException or PathTooLongException or SourceUnavailableException
            || (e is IOException && e.HResult is LibC.EEXIST or LibC.ENOTDIR or LibC.EROFS))
        {
            throw new OutputUnavailableException(path, "cannot be created or opened: " + e.Message, e);
        }
    }

    private sealed class OutputFile(SafeFileHandle file) : IOutputFile
    {
        public long Length => RandomAccess.GetLength(file);

        public int Read(long offset, Span<byte> destination)
        {
            int done = 0;
            while (done < destination.Length)
            {
                int read = RandomAccess.Read(file, destination[done..], offset + done);
                if (read == 0) break;
                done += read;
            }

            return done;
        }

        // RandomAccess.Write repeats short writes until all is written or an error comes.
        public void Write(long offset, ReadOnlySpan<byte> bytes) => RandomAccess.Write(file, bytes, offset);

        public void FlushToDisk() => RandomAccess.FlushToDisk(file);

        public void Dispose() => file.Dispose();
    }
}
