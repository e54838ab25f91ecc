namespace FusionKernels.Kernels.Reference;

/// <summary>What a kernel sees of one element of a <see cref="Chunk"/>, by its index within the chunk.</summary>
internal static unsafe class Element
{
    /// <summary>A stored element as fp32.</summary>
    public static float Read(Operand data, int index)
    {
        var load = new Load((byte*)data.Skip(index).Address);
        Codec.Select(data.Type, ref load);
        return load.Result;
    }

    /// <summary>Rounds fp32 to a stored element.</summary>
    public static void Write(Operand data, int index, float value)
    {
        var store = new Store((byte*)data.Skip(index).Address, value);
        Codec.Select(data.Type, ref store);
    }

    /// <summary>Whether two stored elements have the same bits.</summary>
    public static bool SameBits(Operand left, Operand right, int index)
    {
        // SAFETY: both operands hold element index.
        int size = left.Type.Size();
        return new ReadOnlySpan<byte>((void*)left.Skip(index).Address, size)
            .SequenceEqual(new ReadOnlySpan<byte>((void*)right.Skip(index).Address, size));
    }

    /// <summary>x - base, or x where there is no base.</summary>
    public static float Delta(in Chunk chunk, in Source source, int index)
    {
        float x = Read(source.Data, index);
        return chunk.Base.Exists ? x - Read(chunk.Base, index) : x;
    }

    /// <summary>The bits of |<see cref="Delta"/>|.</summary>
    public static uint Magnitude(in Chunk chunk, in Source source, int index) =>
        BitConverter.SingleToUInt32Bits(Delta(chunk, source, index)) & 0x7FFF_FFFF;

    /// <summary>scale * (mask * delta), each operation rounded to fp32.</summary>
    public static float Value(in Chunk chunk, in Source source, int index)
    {
        float factor = Keeps(chunk, source, index) ? 1 : 0;
        return source.Scale * (factor * Delta(chunk, source, index));
    }

    /// <summary>Whether the source's mask lets the element take part.</summary>
    public static bool Keeps(in Chunk chunk, in Source source, int index)
    {
        Mask mask = source.Mask;
        long element = chunk.First + index;
        uint magnitude = mask.Kind is MaskKind.Magnitude or MaskKind.Band ? Magnitude(chunk, source, index) : 0;
        switch (mask.Kind)
        {
            case MaskKind.Magnitude:
                return magnitude > mask.ThresholdBits || (magnitude == mask.ThresholdBits && element <= mask.LastTie);
            case MaskKind.Band:
                return (magnitude > mask.LowBits || (magnitude == mask.LowBits && element > mask.LastLow))
                    && (magnitude < mask.HighBits || (magnitude == mask.HighBits && element <= mask.LastHigh));
            case MaskKind.Random:
                return mask.Random.Word(element) >> 8 >= mask.DropBelow;
            case MaskKind.Bits:
                return (mask.Bits[element >> 3] >> (int)(element & 7) & 1) != 0;
            default:
                return true;
        }
    }

    private struct Load(byte* source) : ICodecAction
    {
        public float Result;

        // SAFETY: the caller's operand holds the element at this address.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec => Result = Codec.Load<TCodec, F32x1>(source).Value;
    }

    private readonly struct Store(byte* destination, float value) : ICodecAction
    {
        // SAFETY: as above.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec => Codec.Store<TCodec, F32x1>(destination, new F32x1(value));
    }
}
