using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// Walks a chunk in tiles that stay in the first-level cache, and gives each model's elements as fp32 whatever their
/// storage type, so that the arithmetic of the reduce and select kernels is written once, over plain floats. The base's
/// tile is widened once for all models.
/// </summary>
/// <typeparam name="T">The lanes to widen in.</typeparam>
internal unsafe ref struct DeltaTile<T>
    where T : struct, ILanes<T>
{
    private readonly Chunk _chunk;
    private readonly float* _origin, _values;

    /// <summary>A tile before the chunk's first elements.</summary>
    /// <param name="chunk">What to walk.</param>
    /// <param name="scratch"><see cref="DeltaTile.Scratch"/> floats.</param>
    public DeltaTile(in Chunk chunk, float* scratch)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(chunk.Length);
        _chunk = chunk;
        _origin = (float*)(((nint)scratch + 63) & ~63);
        _values = _origin + DeltaTile.Length;
    }

    /// <summary>Index within the chunk of the tile's first element.</summary>
    public int Offset { get; private set; }

    /// <summary>Elements in the tile.</summary>
    public int Length { get; private set; }

    /// <summary>Elements rounded up to whole blocks of <see cref="Reduction.Lanes"/>.</summary>
    public readonly int Padded => (Length + Reduction.Lanes - 1) & -Reduction.Lanes;

    /// <summary>Whether the tile is the last one of a block of <see cref="Reduction"/>.</summary>
    public readonly bool EndsBlock => Offset + Length == _chunk.Length || (Offset + Length) % Reduction.Block == 0;

    /// <summary>Moves to the next tile; false after the last.</summary>
    public bool Next()
    {
        Offset += Length;
        Length = Math.Min(DeltaTile.Length, _chunk.Length - Offset);
        if (Length == 0)
            return false;
        if (_chunk.Base.Exists)
            Read(_chunk.Base, null, _origin);
        return true;
    }

    /// <summary>x - base of one model, or x without a base; valid until the next call.</summary>
    public readonly float* Deltas(int model)
    {
        Read(_chunk.Sources[model].Data, _chunk.Base.Exists ? _origin : null, _values);
        return _values;
    }

    /// <summary>
    /// scale * (mask * delta) of one model, each operation rounded, and zeros up to <see cref="Padded"/>; valid until the
    /// next call.
    /// </summary>
    public readonly float* Values(int model)
    {
        Deltas(model);
        Source source = _chunk.Sources[model];
        new Span<float>(_values + Length, Padded - Length).Clear();
        if (source.Mask.Kind != MaskKind.All)
        {
            byte* bits = stackalloc byte[DeltaTile.Length / 8];
            Operand basis = _chunk.Base.Exists ? _chunk.Base.Skip(Offset) : default;
            MaskTile.Fill(source with { Data = source.Data.Skip(Offset) }, basis, _chunk.First + Offset, Length, bits);
            for (int i = 0; i < Length; i += T.Count)
                Store(_values + i, T.MaskFactor(bits, i) * Load<T>(_values + i));
        }

        if (source.Scale != 1)
        {
            T scale = T.Splat(source.Scale);
            for (int i = 0; i < Length; i += T.Count)
                Store(_values + i, scale * Load<T>(_values + i));
        }

        return _values;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Load<TLanes>(float* values)
        where TLanes : struct, ILanes<TLanes> => TLanes.Load((byte*)values, sizeof(float));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TLanes>(float* destination, TLanes values)
        where TLanes : struct, ILanes<TLanes> => TLanes.Store(values, (byte*)destination, sizeof(float));

    private readonly void Read(Operand data, float* origin, float* destination)
    {
        var reading = new Reading((byte*)data.Skip(Offset).Address, origin, destination, Length);
        Codec.Select(data.Type, ref reading);
    }

    /// <summary>Widens stored elements and subtracts <paramref name="origin"/>, where it is not null.</summary>
    private readonly struct Reading(byte* source, float* origin, float* destination, int length) : ICodecAction
    {
        // Whole registers, then single elements, so that no byte beyond the last element is read. Lane j is element i + j.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            int i = 0;
            if (origin == null)
            {
                for (; i <= length - T.Count; i += T.Count)
                    Store(destination + i, Codec.Load<TCodec, T>(source + (i * TCodec.Size)));
                for (; i < length; i++)
                    Store(destination + i, Codec.Load<TCodec, F32x1>(source + (i * TCodec.Size)));
            }
            else
            {
                for (; i <= length - T.Count; i += T.Count)
                    Store(destination + i, Codec.Load<TCodec, T>(source + (i * TCodec.Size)) - Load<T>(origin + i));
                for (; i < length; i++)
                    Store(destination + i, Codec.Load<TCodec, F32x1>(source + (i * TCodec.Size)) - Load<F32x1>(origin + i));
            }
        }
    }
}

/// <summary>The measures of a <see cref="DeltaTile{T}"/>.</summary>
internal static class DeltaTile
{
    /// <summary>Most elements of a tile. It divides <see cref="Reduction.Block"/>, and is a whole number of mask bytes and registers.</summary>
    public const int Length = 512;

    /// <summary>Floats of scratch: the base's and a model's values, and room to align them to a cache line.</summary>
    public const int Scratch = (2 * Length) + 16;
}
