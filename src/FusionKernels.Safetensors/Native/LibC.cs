using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors.Native;

/// <summary>
/// Every call into the C library, for 64-bit Linux. statx is used for stat because its layout is the same on every
/// architecture. Calls return -1 on failure and leave the reason in <see cref="Marshal.GetLastPInvokeError"/>.
/// </summary>
internal static unsafe partial class LibC
{
    public const int EPERM = 1, ENOENT = 2, EINTR = 4, EAGAIN = 11, EACCES = 13, EEXIST = 17, ENOTDIR = 20, EINVAL = 22,
        EROFS = 30, ELOOP = 40;

    public const int O_RDONLY = 0, O_RDWR = 2, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;

    public const int PROT_READ = 1, MAP_PRIVATE = 2;

    public const int MADV_WILLNEED = 3, MADV_DONTNEED = 4;

    public const int POSIX_FADV_WILLNEED = 3, POSIX_FADV_DONTNEED = 4;

    public const int AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_EMPTY_PATH = 0x1000;

    private const uint StatxBasicStats = 0x7ff;

    /// <summary>False on systems that are served by the plain .NET file API.</summary>
    public static bool IsAvailable { get; } = OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    /// <summary>O_NOFOLLOW is one of the few flags whose value depends on the architecture.</summary>
    public static int O_NOFOLLOW { get; } = RuntimeInformation.ProcessArchitecture
        is Architecture.Arm64 or Architecture.Ppc64le ? 0x8000 : 0x20000;

    /// <summary>Opens an existing file; an invalid handle on failure.</summary>
    public static SafeFileHandle Open(string path, int flags)
    {
        int descriptor;
        do descriptor = OpenRaw(path, flags | O_CLOEXEC);
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == EINTR);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The status of an open file.</summary>
    public static bool TryStat(SafeFileHandle file, out Statx status) =>
        StatxByHandle(file, "", AT_EMPTY_PATH, StatxBasicStats, out status) == 0;

    /// <summary>The status of a path.</summary>
    public static bool TryStat(string path, bool noFollow, out Statx status) =>
        StatxByPath(AT_FDCWD, path, noFollow ? AT_SYMLINK_NOFOLLOW : 0, StatxBasicStats, out status) == 0;

    /// <summary>The magic number of the file system that holds an open file; 0 if it cannot be told.</summary>
    public static uint FileSystemType(SafeFileHandle file)
    {
        // SAFETY: struct statfs has at most 120 bytes on 64-bit Linux and begins with the type word.
        byte* status = stackalloc byte[512];
        return StatFs(file, status) == 0 ? *(uint*)status : 0;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial void* Map(
        void* address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int AdviseMap(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    public static partial int AdviseFile(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Fsync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Rename(string from, string to);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenRaw(string path, int flags);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatxByHandle(SafeFileHandle file, string path, int flags, uint mask, out Statx status);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatxByPath(int folder, string path, int flags, uint mask, out Statx status);

    [LibraryImport("libc", EntryPoint = "fstatfs", SetLastError = true)]
    private static partial int StatFs(SafeFileHandle file, byte* status);

    /// <summary>The fields of struct statx that are used; 256 bytes as in the kernel.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    public struct Statx
    {
        private const int TypeMask = 0xf000, Directory = 0x4000, Regular = 0x8000, Link = 0xa000, Fifo = 0x1000,
            Socket = 0xc000;

        [FieldOffset(28)] private readonly ushort mode;
        [FieldOffset(32)] private readonly ulong inode;
        [FieldOffset(40)] private readonly long size;
        [FieldOffset(96)] private readonly long changedSeconds;
        [FieldOffset(104)] private readonly uint changedNanoseconds;
        [FieldOffset(112)] private readonly long modifiedSeconds;
        [FieldOffset(120)] private readonly uint modifiedNanoseconds;
        [FieldOffset(136)] private readonly uint deviceMajor;
        [FieldOffset(140)] private readonly uint deviceMinor;

        public readonly bool IsRegular => (mode & TypeMask) == Regular;

        public readonly string Kind => (mode & TypeMask) switch
        {
            Regular => "a regular file",
            Directory => "a folder",
            Link => "a symbolic link",
            Fifo => "a FIFO",
            Socket => "a socket",
            _ => "a device",
        };

        public readonly SourceStamp Stamp => new(
            ((ulong)deviceMajor << 32) | deviceMinor,
            inode,
            size,
            unchecked(modifiedSeconds * 1_000_000_000 + modifiedNanoseconds),
            unchecked(changedSeconds * 1_000_000_000 + changedNanoseconds));
    }
}
