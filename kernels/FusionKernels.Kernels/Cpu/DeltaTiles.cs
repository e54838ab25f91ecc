namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// Walks a chunk in tiles that stay in the first-level cache, and gives each model's elements as fp32 whatever their
/// storage type, so that the arithmetic of the reduce and select kernels is written once, over plain floats. The base's
/// tile is widened once for all models.
/// </summary>
/// <typeparam name="T">The lanes to widen in.</typeparam>
internal unsafe ref struct DeltaTiles<T>
    where T : struct, ICpuLanes<T>
{
    /// <summary>
    /// Most elements of a tile. It divides <see cref="Reduction.Block"/>, and is a whole number of mask bytes and
    /// registers.
    /// </summary>
    public const int Most = 2048;

    /// <summary>Floats of scratch: the base's and a model's values.</summary>
    public const int Scratch = 2 * Most;

    private readonly Chunk _chunk;
    private readonly float* _origin, _values;

    /// <summary>Stands before the first tile of a chunk.</summary>
    /// <param name="chunk">What to walk.</param>
    /// <param name="scratch"><see cref="Scratch"/> floats.</param>
    public DeltaTiles(in Chunk chunk, float* scratch)
    {
        chunk.Check();
        _chunk = chunk;
        _origin = chunk.Base.Exists ? scratch : null;
        _values = scratch + Most;
    }

    /// <summary>Index within the chunk of the tile's first element.</summary>
    public int Offset { get; private set; }

    /// <summary>Elements in the tile.</summary>
    public int Length { get; private set; }

    /// <summary>Elements rounded up to whole rows of <see cref="Reduction.Lanes"/>.</summary>
    public readonly int Padded => (Length + Reduction.Lanes - 1) & -Reduction.Lanes;

    /// <summary>Whether the tile is the last one of a block of <see cref="Reduction"/>.</summary>
    public readonly bool EndsBlock => Offset + Length == _chunk.Length || (Offset + Length) % Reduction.Block == 0;

    /// <summary>Moves to the next tile; false after the last.</summary>
    public bool Next()
    {
        Offset += Length;
        Length = Math.Min(Most, _chunk.Length - Offset);
        if (Length == 0)
            return false;
        if (_origin != null)
            DeltaTile.Read<T>(_chunk.Base.Skip(Offset), _origin, Length);
        return true;
    }

    /// <summary>
    /// scale * (mask * delta) of one model, each operation rounded, and zeros up to <see cref="Padded"/>; valid until the
    /// next call.
    /// </summary>
    public float* Values(int model)
    {
        Source source = _chunk.Sources[model];
        DeltaTile.Subtract<T>(source.Data.Skip(Offset), _origin, _values, Length);
        if (source.Mask.Kind != MaskKind.All || source.Scale != 1)
            MaskAndScale(source);
        new Span<float>(_values + Length, Padded - Length).Clear();
        return _values;
    }

    private readonly void MaskAndScale(in Source source)
    {
        byte* bits = stackalloc byte[MaskTile.Bytes(Most)];
        Operand basis = _origin != null ? _chunk.Base.Skip(Offset) : default;
        MaskTile.Fill<T>(source with { Data = source.Data.Skip(Offset) }, basis, _chunk.First + Offset, Length, bits);
        T scale = T.Splat(source.Scale);
        for (int i = 0; i < Length; i += T.Count)
        {
            T delta = T.Load((byte*)(_values + i), sizeof(float));
            T.Store(scale * (T.MaskFactor(bits, i) * delta), (byte*)(_values + i), sizeof(float));
        }
    }
}
