using System.Runtime.InteropServices;
using FusionKernels.Safetensors.Native;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>
/// A file mapped as a whole, read-only. The descriptor is closed once the map stands, so any number of files can be
/// open. A file that is truncated while it is mapped ends the process (SIGBUS) when the lost pages are touched; where
/// that can happen, use <see cref="SourceAccess.Read"/>.
/// </summary>
internal sealed unsafe class MappedSource : IShardSource
{
    private readonly MapHandle map;
    private readonly byte* start;
    private readonly bool noFollow;

    private MappedSource(string path, SourceStamp stamp, bool noFollow, MapHandle map)
    {
        Path = path;
        Stamp = stamp;
        this.noFollow = noFollow;
        this.map = map;
        start = (byte*)map.DangerousGetHandle();
    }

    public string Path { get; }

    public long Length => Stamp.Size;

    public SourceStamp Stamp { get; }

    public bool IsMapped => true;

    /// <summary>Null where the file is empty or the system refuses the map.</summary>
    public static MappedSource? TryMap(SafeFileHandle file, string path, SourceStamp stamp, bool noFollow)
    {
        if (!LibC.IsAvailable || stamp.Size == 0) return null;

        // SAFETY: a new map of an open file; it is unmapped by its handle.
        void* start = LibC.Map(null, (nuint)stamp.Size, LibC.PROT_READ, LibC.MAP_PRIVATE, file, 0);
        var map = new MapHandle(start, stamp.Size);
        return map.IsInvalid ? null : new MappedSource(path, stamp, noFollow, map);
    }

    public byte* Fetch(long offset, nint length, byte* scratch)
    {
        ObjectDisposedException.ThrowIf(map.IsClosed, this);
        SourceChecks.ThrowIfOutside(offset, length, Length);

        // SAFETY: the range was just checked against the mapped length.
        return start + offset;
    }

    // The map keeps the inode in use, so an equal device and inode at the path is the very file that was mapped.
    public void CheckUnchanged() => SourceChecks.ThrowIfChanged(Path, Stamp, noFollow);

    public void Prefetch(long offset, long length) => Advise(offset, length, LibC.MADV_WILLNEED);

    public void Forget(long offset, long length) => Advise(offset, length, LibC.MADV_DONTNEED);

    public void Dispose() => map.Dispose();

    private void Advise(long offset, long length, int advice)
    {
        ObjectDisposedException.ThrowIf(map.IsClosed, this);
        SourceChecks.ThrowIfOutside(offset, length, Length);

        // Advice goes by whole pages. Rounding outwards is harmless also for DONTNEED: the neighbours of a private
        // read-only map are only read again from the page cache.
        long first = offset & -Environment.SystemPageSize;

        // SAFETY: first lies in the map, and the range ends where the checked range ends.
        _ = LibC.AdviseMap(start + first, (nuint)(offset + length - first), advice);
    }

    private sealed class MapHandle : SafeHandle
    {
        private readonly long length;

        public MapHandle(void* start, long length)
            : base(invalidHandleValue: -1, ownsHandle: true)
        {
            this.length = length;
            SetHandle((nint)start);
        }

        public override bool IsInvalid => handle == -1;

        // SAFETY: unmaps exactly what was mapped, once, when nobody refers to it any more.
        protected override bool ReleaseHandle() => LibC.Unmap((void*)handle, (nuint)length) == 0;
    }
}
