using FusionKernels.Safetensors.Native;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>Decides between <see cref="MappedSource"/> and <see cref="PreadSource"/>.</summary>
internal static class ShardSource
{
    /// <summary>Opens a regular file.</summary>
    /// <exception cref="SourceUnavailableException">It is missing, unreadable or of another kind.</exception>
    public static IShardSource Open(string path, SafetensorsOptions options)
    {
        path = Path.GetFullPath(path);
        using SafeFileHandle file = RegularFile.OpenRead(path, options.NoFollow, out SourceStamp stamp);
        bool map = options.Access switch
        {
            SourceAccess.Read => false,
            SourceAccess.Map => true,
            _ => !IsRemote(file),
        };

        return map && MappedSource.TryMap(file, path, stamp, options.NoFollow) is { } mapped
            ? mapped
            : new PreadSource(path, stamp, options.NoFollow);
    }

    // File systems whose pages come over a network or from another process: a page that cannot be had is SIGBUS.
    private static bool IsRemote(SafeFileHandle file) => LibC.IsAvailable && LibC.FileSystemType(file) is
        0x6969 // NFS
        or 0x517B or 0xFF534D42 or 0xFE534D42 // SMB, CIFS, SMB2
        or 0x65735546 // FUSE
        or 0x0BD00BD0 // Lustre
        or 0x01021997 // 9p
        or 0x00C36400 // Ceph
        or 0x5346414F or 0x73757245 // AFS, Coda
        or 0x47504653 // GPFS
        or 0x19830326 // BeeGFS
        or 0x20030528 // OrangeFS
        or 0x01161970 or 0x7461636F // GFS2, OCFS2
        or 0x786F4256; // VirtualBox shared folder
}
