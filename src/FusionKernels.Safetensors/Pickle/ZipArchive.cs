using System.Buffers.Binary;
using System.Text;

namespace FusionKernels.Safetensors;

/// <summary>
/// The zip container of torch.save: entries under one folder, stored as they are. Only the directory at the end of the
/// file is read, and the local header of an entry that is asked for. Numbers and names as in APPNOTE 6.3.10.
/// </summary>
internal sealed class ZipArchive
{
    // A directory takes some 70 bytes for a tensor, a pickle some 100; real ones stay far below.
    private const int LongestRead = 1 << 24;
    private const int EndLength = 22, LocatorLength = 20, End64Length = 56, DirectoryLength = 46, LocalLength = 30;
    private const uint EndSignature = 0x06054B50, LocatorSignature = 0x07064B50, End64Signature = 0x06064B50;
    private const uint DirectorySignature = 0x02014B50, LocalSignature = 0x04034B50;
    private const ushort Zip64Extra = 1, Encrypted = 1;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly IShardSource source;
    private readonly Dictionary<string, (long Header, long Length)> entries = [];
    private long directory;
    private string folder = "";

    private ZipArchive(IShardSource source) => this.source = source;

    /// <summary>Reads the directory and checks every entry's place and kind.</summary>
    public static ZipArchive Read(IShardSource source)
    {
        var archive = new ZipArchive(source);
        archive.RefuseOtherKinds();
        archive.ReadDirectory();
        return archive;
    }

    /// <summary>Finds the bytes of an entry below the archive's folder; null where there is none.</summary>
    public ZipEntry? Find(string name)
    {
        if (!entries.TryGetValue(folder + name, out (long Header, long Length) entry)) return null;
        byte[] local = Bytes(entry.Header, LocalLength, "local header of " + name);
        if (U32(local, 0) != LocalSignature) throw Invalid($"entry {name} has no local header where it should be");
        long begin = entry.Header + LocalLength + U16(local, 26) + U16(local, 28);
        return begin <= directory - entry.Length
            ? new ZipEntry(begin, entry.Length)
            : throw Invalid($"entry {name} runs into the zip directory");
    }

    /// <summary>The bytes of a small entry.</summary>
    public byte[] Bytes(ZipEntry entry) => Bytes(entry.Begin, entry.Length, "an entry");

    /// <summary>An error of the container.</summary>
    public SafetensorsException Invalid(string message) => new(FormatError.InvalidArchive, source.Path, null, message);

    /// <summary>An error of a tensor.</summary>
    public SafetensorsException Invalid(FormatError code, string? tensor, string message) =>
        new(code, source.Path, tensor, message);

    private void RefuseOtherKinds()
    {
        byte[] beginning = Bytes(0, Math.Min(64, source.Length), "the beginning");
        if (beginning.AsSpan().StartsWith("PK\x03\x04"u8)) return;
        throw Invalid(beginning is [0x80, >= 2 and <= 5, ..]
            ? "is a file of torch.save from before PyTorch 1.6; load it in Python and save it with "
                + "safetensors.torch.save_file"
            : (ForeignFile.Recognise(beginning) ?? "is no zip archive") + ", not a file of torch.save");
    }

    // The directory's place is in the last bytes of the file (torch writes no comment after them), or, where the fields
    // there are too small, in the record that the bytes before them point to.
    private void ReadDirectory()
    {
        byte[] end = Bytes(source.Length - EndLength, EndLength, "the end");
        if (U32(end, 0) != EndSignature) throw Invalid("does not end in a zip directory; the file may be cut off");
        (long count, long length, directory) = (U16(end, 10), U32(end, 12), U32(end, 16));
        if (count == ushort.MaxValue || length == uint.MaxValue || directory == uint.MaxValue)
        {
            byte[] locator = Bytes(source.Length - EndLength - LocatorLength, LocatorLength, "the zip64 locator");
            if (U32(locator, 0) != LocatorSignature) throw Invalid("has no zip64 locator");
            byte[] end64 = Bytes(I64(locator, 8), End64Length, "the zip64 end record");
            if (U32(end64, 0) != End64Signature) throw Invalid("has no zip64 end record");
            (count, length, directory) = (I64(end64, 32), I64(end64, 40), I64(end64, 48));
        }

        byte[] bytes = Bytes(directory, length, "the zip directory");
        ReadOnlySpan<byte> rest = bytes;
        for (long i = 0; i < count; i++) ReadEntry(ref rest);
        if (!rest.IsEmpty) throw Invalid("its zip directory is longer than its entries");

        // torch.save puts all entries into one folder, named after the file.
        string first = entries.Keys.FirstOrDefault("");
        folder = first[..(first.IndexOf('/', StringComparison.Ordinal) + 1)];
    }

    private void ReadEntry(ref ReadOnlySpan<byte> rest)
    {
        if (rest.Length < DirectoryLength || U32(rest, 0) != DirectorySignature)
        {
            throw Invalid("its zip directory holds something other than entries");
        }

        int nameLength = U16(rest, 28), extraLength = U16(rest, 30), commentLength = U16(rest, 32);
        if (rest.Length - DirectoryLength < nameLength + extraLength + commentLength)
        {
            throw Invalid("its zip directory ends within an entry");
        }

        string name;
        try
        {
            name = StrictUtf8.GetString(rest.Slice(DirectoryLength, nameLength));
        }
        catch (DecoderFallbackException)
        {
            throw Invalid("an entry's name is not UTF-8");
        }

        if (U16(rest, 10) != 0) throw Invalid($"entry {name} is compressed; torch.save stores entries as they are");
        if ((U16(rest, 8) & Encrypted) != 0) throw Invalid($"entry {name} is encrypted");

        // Fields that are too small hold all ones; their values stand in the zip64 field, in this order.
        ReadOnlySpan<byte> extra = Zip64(rest.Slice(DirectoryLength + nameLength, extraLength));
        long length = Wide(U32(rest, 24), ref extra), stored = Wide(U32(rest, 20), ref extra);
        long header = Wide(U32(rest, 42), ref extra);
        if (length != stored || length < 0 || header < 0 || length > directory || header > directory - length)
        {
            throw Invalid($"entry {name} does not lie before the zip directory");
        }

        if (!entries.TryAdd(name, (header, length))) throw Invalid($"entry {name} occurs twice");
        rest = rest[(DirectoryLength + nameLength + extraLength + commentLength)..];
    }

    private static ReadOnlySpan<byte> Zip64(ReadOnlySpan<byte> extra)
    {
        while (extra.Length >= 4)
        {
            int length = Math.Min(U16(extra, 2), extra.Length - 4);
            if (U16(extra, 0) == Zip64Extra) return extra.Slice(4, length);
            extra = extra[(4 + length)..];
        }

        return default;
    }

    private long Wide(uint field, ref ReadOnlySpan<byte> extra)
    {
        if (field != uint.MaxValue) return field;
        if (extra.Length < 8) throw Invalid("an entry of 4 GiB or more has no zip64 field");
        long value = I64(extra, 0);
        extra = extra[8..];
        return value;
    }

    private byte[] Bytes(long begin, long length, string what)
    {
        if (begin < 0 || length < 0 || length > source.Length || begin > source.Length - length)
        {
            throw Invalid($"{what} does not lie in the file");
        }

        if (length > LongestRead) throw Invalid($"{what} has {length} bytes, more than any real one");
        byte[] bytes = new byte[length];
        source.Read(begin, bytes);
        return bytes;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
