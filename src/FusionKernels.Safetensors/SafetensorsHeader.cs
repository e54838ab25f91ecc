using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text.Unicode;

namespace FusionKernels.Safetensors;

/// <summary>
/// The header of a safetensors file, checked against every rule of the format: an instance exists only for a file that
/// the reference implementation loads as well.
/// </summary>
public sealed class SafetensorsHeader
{
    /// <summary>The longest header the format allows, in bytes.</summary>
    public const int MaxLength = 100_000_000;

    internal const int LengthBytes = 8;

    private readonly TensorInfo[] tensors;
    private readonly Dictionary<string, TensorInfo> byName;

    internal SafetensorsHeader(
        int headerLength,
        TensorInfo[] tensors,
        Dictionary<string, TensorInfo> byName,
        IReadOnlyDictionary<string, string> metadata)
    {
        DataOffset = LengthBytes + headerLength;
        this.tensors = tensors;
        this.byName = byName;
        Metadata = metadata;
    }

    /// <summary>Where the data section begins in the file: after the length and the header. Any number.</summary>
    public long DataOffset { get; }

    /// <summary>Bytes in the data section.</summary>
    public long DataLength => tensors.Length == 0 ? 0 : tensors[^1].End;

    /// <summary>All tensors, in the order of their bytes in the file.</summary>
    public IReadOnlyList<TensorInfo> Tensors => tensors;

    /// <summary>The <c>__metadata__</c> of the file; empty if there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Finds a tensor by its name.</summary>
    public bool TryGet(string name, [MaybeNullWhen(false)] out TensorInfo tensor) =>
        byName.TryGetValue(name, out tensor);

    /// <summary>Parses a whole file that is in memory.</summary>
    /// <param name="file">All bytes of the file; only its length and header are looked at.</param>
    /// <param name="path">What to call the file in an error.</param>
    /// <param name="options">Only <see cref="SafetensorsOptions.AllowTrailingBytes"/> counts here.</param>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static SafetensorsHeader Parse(
        ReadOnlySpan<byte> file, string path = "(memory)", SafetensorsOptions? options = null)
    {
        int length = CheckLength(file, file.Length, path);
        return Parse(file.Slice(LengthBytes, length), file.Length, path, options ?? SafetensorsOptions.Default);
    }

    internal static unsafe SafetensorsHeader Read(IShardSource source, SafetensorsOptions options)
    {
        const int Longest = 64;
        byte* room = stackalloc byte[Longest];
        int available = (int)Math.Min(Longest, source.Length);

        // SAFETY: Fetch returns `available` readable bytes, in the map or in the room for them.
        var beginning = new ReadOnlySpan<byte>(source.Fetch(0, available, room), available);
        int length = CheckLength(beginning, source.Length, source.Path);

        byte* buffer = source.IsMapped ? null : (byte*)NativeMemory.Alloc((nuint)length);
        try
        {
            // SAFETY: as above; the buffer lives until the header is parsed, which keeps no reference into it.
            var json = new ReadOnlySpan<byte>(source.Fetch(LengthBytes, length, buffer), length);
            return Parse(json, source.Length, source.Path, options);
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    // Rules 1 to 3. `beginning` is the start of the file, or all of it.
    private static int CheckLength(ReadOnlySpan<byte> beginning, long fileLength, string path)
    {
        if (fileLength < LengthBytes)
        {
            throw Refuse(FormatError.HeaderTooSmall, beginning, path, $"has {fileLength} bytes, too few for a header");
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(beginning);
        if (length > MaxLength)
        {
            throw Refuse(
                FormatError.HeaderTooLarge, beginning, path, $"header length {length} exceeds {MaxLength} bytes");
        }

        if ((long)length > fileLength - LengthBytes)
        {
            throw Refuse(
                FormatError.InvalidHeaderLength,
                beginning,
                path,
                $"header of {length} bytes does not fit into a file of {fileLength} bytes");
        }

        return (int)length;
    }

    // Rules 4 to 10.
    private static SafetensorsHeader Parse(
        ReadOnlySpan<byte> json, long fileLength, string path, SafetensorsOptions options)
    {
        if (!Utf8.IsValid(json))
        {
            throw new SafetensorsException(FormatError.InvalidHeader, path, null, "header is not UTF-8");
        }

        SafetensorsHeader header = HeaderReader.Read(json, path);
        long missing = header.DataOffset + header.DataLength - fileLength;
        if (missing == 0 || (missing < 0 && options.AllowTrailingBytes)) return header;
        throw new SafetensorsException(
            FormatError.MetadataIncompleteBuffer,
            path,
            null,
            missing > 0
                ? $"file ends {missing} bytes before its last tensor does"
                : $"file goes on for {-missing} bytes after its last tensor");
    }

    // Only a file that already failed is asked whether it is of another common kind.
    private static SafetensorsException Refuse(
        FormatError code, ReadOnlySpan<byte> beginning, string path, string message) =>
        ForeignFile.Recognise(beginning) is { } kind
            ? new SafetensorsException(FormatError.NotSafetensors, path, null, kind + ", not a safetensors file")
            : new SafetensorsException(code, path, null, message);
}
