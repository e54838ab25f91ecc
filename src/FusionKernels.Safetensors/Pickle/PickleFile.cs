namespace FusionKernels.Safetensors;

/// <summary>
/// One open file of torch.save (<c>pytorch_model.bin</c>): a zip archive of a pickle that describes the tensors, and of
/// their bytes, which are read in place. The pickle is a program; here only those of its instructions are known that
/// describe tensors, and none of them can run anything.
/// </summary>
public sealed class PickleFile : ShardFile
{
    private static readonly Dictionary<string, string> NoMetadata = [];

    private PickleFile(IShardSource source, TensorInfo[] tensors, ZipEntry pickle)
        : base(source)
    {
        Tensors = tensors;
        HeaderRange = (pickle.Begin, pickle.Begin + pickle.Length);
    }

    /// <summary>All tensors, in the order of their bytes in the file. Tied tensors share bytes.</summary>
    public override IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>Empty: the format has no remarks.</summary>
    public override IReadOnlyDictionary<string, string> Metadata => NoMetadata;

    /// <summary>Zero: the offsets of tensors count from the start of the file.</summary>
    public override long DataOffset => 0;

    /// <summary>The pickle.</summary>
    public override (long Begin, long End) HeaderRange { get; }

    /// <summary>Opens a file and interprets its pickle.</summary>
    /// <exception cref="SourceUnavailableException">The file is missing, unreadable, or no regular file.</exception>
    /// <exception cref="SafetensorsException">
    /// The file is damaged, of the form before PyTorch 1.6, or describes something other than tensors.
    /// </exception>
    public static PickleFile Open(string path, SafetensorsOptions? options = null) =>
        Open(ShardSource.Open(path, options ?? SafetensorsOptions.Default));

    /// <summary>Reads a file whose bytes the caller provides; the result owns the source.</summary>
    /// <exception cref="SafetensorsException">
    /// The file is damaged, of the form before PyTorch 1.6, or describes something other than tensors.
    /// </exception>
    public static PickleFile Open(IShardSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        try
        {
            ZipArchive archive = ZipArchive.Read(source);
            ZipEntry pickle = archive.Find("data.pkl")
                ?? throw archive.Invalid("holds no data.pkl, as files of torch.save do");

            // Written since PyTorch 2.1, and by big-endian machines; what has no such entry is little endian.
            if (archive.Find("byteorder") is { } order && !archive.Bytes(order).AsSpan().SequenceEqual("little"u8))
            {
                throw archive.Invalid("its tensors are not little endian");
            }

            object? root = PickleMachine.Run(archive.Bytes(pickle), source.Path);
            return new PickleFile(source, StateDict.Tensors(root, archive), pickle);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }
}
