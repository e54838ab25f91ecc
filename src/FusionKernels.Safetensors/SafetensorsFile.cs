namespace FusionKernels.Safetensors;

/// <summary>One open safetensors file: its checked header, and its bytes by map or by read.</summary>
public sealed class SafetensorsFile : ShardFile
{
    private SafetensorsFile(IShardSource source, SafetensorsHeader header)
        : base(source) => Header = header;

    /// <summary>The tensors and where they are.</summary>
    public SafetensorsHeader Header { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TensorInfo> Tensors => Header.Tensors;

    /// <summary>The <c>__metadata__</c> of the file; empty if there is none.</summary>
    public override IReadOnlyDictionary<string, string> Metadata => Header.Metadata;

    /// <inheritdoc/>
    public override long DataOffset => Header.DataOffset;

    /// <inheritdoc/>
    public override (long Begin, long End) HeaderRange => (0, DataOffset);

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="SourceUnavailableException">The file is missing, unreadable, or no regular file.</exception>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static SafetensorsFile Open(string path, SafetensorsOptions? options = null)
    {
        options ??= SafetensorsOptions.Default;
        return Open(ShardSource.Open(path, options), options);
    }

    /// <summary>Reads a file whose bytes the caller provides; the result owns the source.</summary>
    /// <exception cref="SafetensorsException">A rule of the format is broken.</exception>
    public static SafetensorsFile Open(IShardSource source, SafetensorsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= SafetensorsOptions.Default;
        try
        {
            return new SafetensorsFile(source, SafetensorsHeader.Read(source, options));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }
}
