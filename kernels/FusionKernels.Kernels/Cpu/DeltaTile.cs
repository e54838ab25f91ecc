using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// The inputs of the reduce and select kernels, piece by piece: elements of any storage type become fp32 in a tile that stays in
/// the first-level cache, so each kernel's arithmetic is written once, over plain floats. The base's tile is read once for
/// all models.
/// </summary>
internal static unsafe class DeltaTile
{
    /// <summary>Most elements of a tile; a divisor of <see cref="Reduction.Block"/>.</summary>
    public const int Length = 512;

    /// <summary>The elements as fp32.</summary>
    public static void Read<T>(Operand data, float* tile, int length)
        where T : struct, ILanes<T> => Subtract<T>(data, null, tile, length);

    /// <summary>The elements minus <paramref name="origin"/>, or the elements where that is null.</summary>
    public static void Subtract<T>(Operand data, float* origin, float* tile, int length)
        where T : struct, ILanes<T>
    {
        var difference = new Difference<T>((byte*)data.Address, origin, tile, length);
        Codec.Select(data.Type, ref difference);
    }

    /// <summary>A source's values: <c>scale * (mask * (x - origin))</c>, each operation rounded.</summary>
    /// <param name="source">The model; its data begins at the tile's first element.</param>
    /// <param name="basis">The base at the tile's first element, which a magnitude mask needs.</param>
    /// <param name="first">Index within the tensor of the tile's first element; a multiple of 8.</param>
    /// <param name="origin">The base's tile, or null.</param>
    /// <param name="tile">Receives the values.</param>
    /// <param name="length">Number of elements.</param>
    public static void Values<T>(
        in Source source, Operand basis, long first, float* origin, float* tile, int length)
        where T : struct, ILanes<T>
    {
        Subtract<T>(source.Data, origin, tile, length);
        if (source.Mask.Kind != MaskKind.All)
        {
            // The lanes read whole bytes of the mask, 2 at the most, and the tile is padded likewise.
            byte* bits = stackalloc byte[MaskTile.Bytes(Length)];
            MaskTile.Fill<T>(source, basis, first, length, bits);
            for (int i = 0; i < length; i += T.Count)
                T.Store(T.MaskFactor(bits, i) * T.Load((byte*)(tile + i), sizeof(float)), (byte*)(tile + i), sizeof(float));
        }

        if (source.Scale != 1)
        {
            T scale = T.Splat(source.Scale);
            for (int i = 0; i < length; i += T.Count)
                T.Store(scale * T.Load((byte*)(tile + i), sizeof(float)), (byte*)(tile + i), sizeof(float));
        }
    }

    private readonly struct Difference<T>(byte* source, float* origin, float* tile, int length) : ICodecAction
        where T : struct, ILanes<T>
    {
        // Whole registers, then single elements, so that no byte beyond the last element is read. Lane j is element i + j.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            int i = 0;
            if (origin == null)
            {
                for (; i <= length - T.Count; i += T.Count)
                    Write(i, Codec.Load<TCodec, T>(source + ((nint)i * TCodec.Size)));
                for (; i < length; i++)
                    Write(i, Codec.Load<TCodec, F32x1>(source + ((nint)i * TCodec.Size)));
            }
            else
            {
                for (; i <= length - T.Count; i += T.Count)
                    Write(i, Codec.Load<TCodec, T>(source + ((nint)i * TCodec.Size)) - Origin<T>(i));
                for (; i < length; i++)
                    Write(i, Codec.Load<TCodec, F32x1>(source + ((nint)i * TCodec.Size)) - Origin<F32x1>(i));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private TLanes Origin<TLanes>(int i)
            where TLanes : struct, ILanes<TLanes> => TLanes.Load((byte*)(origin + i), sizeof(float));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Write<TLanes>(int i, TLanes values)
            where TLanes : struct, ILanes<TLanes> => TLanes.Store(values, (byte*)(tile + i), sizeof(float));
    }
}
