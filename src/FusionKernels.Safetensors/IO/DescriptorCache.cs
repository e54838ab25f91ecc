using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Safetensors;

/// <summary>
/// The open descriptors of all <see cref="PreadSource"/>s of the process. At most <see cref="Capacity"/> stay open
/// beyond those in use at the moment; the one that was used longest ago is closed first. So hundreds of shards of many
/// models can be open under a low descriptor limit.
/// </summary>
internal static class DescriptorCache
{
    public const int Capacity = 64;

    private static readonly Lock Gate = new();
    private static readonly LinkedList<PreadSource> Opened = new(); // most recently used first

    /// <summary>Borrows the descriptor of a source, opening the file if need be.</summary>
    public static SafeFileHandle Rent(PreadSource source)
    {
        lock (Gate)
        {
            Entry entry = source.Descriptor;
            ObjectDisposedException.ThrowIf(entry.Closed, source);
            if (entry.File is null)
            {
                entry.File = source.Reopen();
                entry.Node = Opened.AddFirst(source);
                CloseSurplus();
            }
            else
            {
                Opened.Remove(entry.Node!);
                Opened.AddFirst(entry.Node!);
            }

            entry.Users++;
            return entry.File;
        }
    }

    /// <summary>Ends a loan.</summary>
    public static void Return(PreadSource source)
    {
        lock (Gate)
        {
            source.Descriptor.Users--;
            if (source.Descriptor.Closed) CloseIfUnused(source);
        }
    }

    /// <summary>Closes for good, at the end of the last loan.</summary>
    public static void Close(PreadSource source)
    {
        lock (Gate)
        {
            source.Descriptor.Closed = true;
            CloseIfUnused(source);
        }
    }

    private static void CloseSurplus()
    {
        LinkedListNode<PreadSource>? oldest = Opened.Last;
        while (Opened.Count > Capacity && oldest is not null && oldest != Opened.First)
        {
            LinkedListNode<PreadSource>? next = oldest.Previous;
            CloseIfUnused(oldest.Value);
            oldest = next;
        }
    }

    private static void CloseIfUnused(PreadSource source)
    {
        Entry entry = source.Descriptor;
        if (entry.Users > 0 || entry.File is null) return;
        entry.File.Dispose();
        entry.File = null;
        Opened.Remove(entry.Node!);
    }

    /// <summary>The state of one source's descriptor.</summary>
    internal sealed class Entry
    {
        public SafeFileHandle? File { get; set; }

        public LinkedListNode<PreadSource>? Node { get; set; }

        public int Users { get; set; }

        public bool Closed { get; set; }
    }
}
