using FusionKernels.Safetensors.Native;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>A file read by positional reads. Its descriptor is borrowed from <see cref="DescriptorCache"/>.</summary>
internal sealed unsafe class PreadSource(string path, SourceStamp stamp, bool noFollow) : IShardSource
{
    /// <summary>Linux reads at most 2 GiB - 4 KiB in one call, and a span holds no more; this stays below.</summary>
    internal const int LongestRead = 1 << 30;

    /// <summary>Owned by <see cref="DescriptorCache"/>, under its lock.</summary>
    internal DescriptorCache.Entry Descriptor { get; } = new();

    public string Path { get; } = path;

    public long Length => Stamp.Size;

    public SourceStamp Stamp { get; } = stamp;

    public bool IsMapped => false;

    public byte* Fetch(long offset, nint length, byte* scratch)
    {
        SourceChecks.ThrowIfOutside(offset, length, Length);
        if (length == 0) return scratch;
        ArgumentNullException.ThrowIfNull(scratch);

        SafeFileHandle file = DescriptorCache.Rent(this);
        try
        {
            // A read may return less than it was asked for; only 0 means the end of the file, which the stamp rules
            // out unless the file was cut.
            for (nint done = 0; done < length;)
            {
                // SAFETY: the caller vouches for length bytes at scratch; done + the span's length never exceeds it.
                var rest = new Span<byte>(scratch + done, (int)Math.Min(length - done, LongestRead));
                int read = RandomAccess.Read(file, rest, offset + done);
                if (read == 0) throw new SourceChangedException(Path, $"it ends at byte {offset + done} now");
                done += read;
            }
        }
        finally
        {
            DescriptorCache.Return(this);
        }

        return scratch;
    }

    public void CheckUnchanged() => SourceChecks.ThrowIfChanged(Path, Stamp, noFollow);

    public void Prefetch(long offset, long length) => Advise(offset, length, LibC.POSIX_FADV_WILLNEED);

    public void Forget(long offset, long length) => Advise(offset, length, LibC.POSIX_FADV_DONTNEED);

    public void Dispose() => DescriptorCache.Close(this);

    /// <summary>Opens the file again and makes sure that it is still the one that was opened first.</summary>
    internal SafeFileHandle Reopen()
    {
        SafeFileHandle file;
        SourceStamp now;
        try
        {
            file = RegularFile.OpenRead(Path, noFollow, out now);
        }
        catch (SourceUnavailableException)
        {
            CheckUnchanged(); // it was there before: if it is gone, that is a change
            throw;
        }

        if (now == Stamp) return file;
        file.Dispose();
        throw new SourceChangedException(Path, Stamp.DifferenceTo(now));
    }

    private void Advise(long offset, long length, int advice)
    {
        SourceChecks.ThrowIfOutside(offset, length, Length);
        if (!LibC.IsAvailable || length == 0) return; // to posix_fadvise, length 0 means the rest of the file
        SafeFileHandle file = DescriptorCache.Rent(this);
        _ = LibC.AdviseFile(file, offset, length, advice);
        DescriptorCache.Return(this);
    }
}
