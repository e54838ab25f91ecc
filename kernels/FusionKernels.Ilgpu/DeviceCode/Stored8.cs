using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Eight stored elements of any type as they lie in memory: 8, 16, 32 or 64 bytes in accesses of 16 (8 for the
/// smallest), at a multiple of their number. Kept apart from decoding, so that a load can be under way while others are
/// computed.
/// </summary>
internal struct Stored8
{
    private Words4 _a, _b, _c, _d;

    /// <summary>Begins to read group number <paramref name="group"/> of an operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Stored8 Read<TCodec>(ArrayView<byte> operand, long group)
        where TCodec : struct, ICodec
    {
        var stored = default(Stored8);
        if (TCodec.Size == 1)
        {
            var words = operand.Cast<Words2>().AsAligned(8)[group];
            stored._a = new Words4(words.X, words.Y, 0, 0);
            return stored;
        }

        var view = operand.Cast<Words4>().AsAligned(16);
        long at = group * (TCodec.Size / 2);
        stored._a = view[at];
        if (TCodec.Size >= 4)
            stored._b = view[at + 1];
        if (TCodec.Size == 8)
        {
            stored._c = view[at + 2];
            stored._d = view[at + 3];
        }

        return stored;
    }

    /// <summary>As fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Eight Decode<TCodec>()
        where TCodec : struct, ICodec => TCodec.Decode(TCodec.Size switch
        {
            1 => new Eight(Bytes(_a.X), Bytes(_a.Y)),
            2 => new Eight(new Four(Halves(_a.X), Halves(_a.Y)), new Four(Halves(_a.Z), Halves(_a.W))),
            4 => new Eight(Whole(_a), Whole(_b)),
            _ => new Eight(new Four(Doubles(_a), Doubles(_b)), new Four(Doubles(_c), Doubles(_d))),
        });

    /// <summary>Rounds to the storage type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Stored8 Encode<TCodec>(Eight values)
        where TCodec : struct, ICodec
    {
        Eight bits = TCodec.Encode(values);
        Four low = bits.Low, high = bits.High;
        var stored = default(Stored8);
        if (TCodec.Size == 1)
        {
            stored._a = new Words4(
                Halves(low.Low, 8) | (Halves(low.High, 8) << 16),
                Halves(high.Low, 8) | (Halves(high.High, 8) << 16),
                0,
                0);
        }
        else if (TCodec.Size == 2)
        {
            stored._a = new Words4(
                Halves(low.Low, 16), Halves(low.High, 16), Halves(high.Low, 16), Halves(high.High, 16));
        }
        else if (TCodec.Size == 4)
        {
            (stored._a, stored._b) = (Whole(low), Whole(high));
        }
        else
        {
            (stored._a, stored._b) = (Doubles(low.Low), Doubles(low.High));
            (stored._c, stored._d) = (Doubles(high.Low), Doubles(high.High));
        }

        return stored;
    }

    /// <summary>The bits of fp32 values, as they are.</summary>
    public static Stored8 Bits(Eight values) => new() { _a = Whole(values.Low), _b = Whole(values.High) };

    /// <summary>Writes group number <paramref name="group"/> of an operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Write<TCodec>(ArrayView<byte> operand, long group)
        where TCodec : struct, ICodec
    {
        if (TCodec.Size == 1)
        {
            operand.Cast<Words2>().AsAligned(8)[group] = new Words2(_a.X, _a.Y);
            return;
        }

        var view = operand.Cast<Words4>().AsAligned(16);
        long at = group * (TCodec.Size / 2);
        view[at] = _a;
        if (TCodec.Size >= 4)
            view[at + 1] = _b;
        if (TCodec.Size == 8)
        {
            view[at + 2] = _c;
            view[at + 3] = _d;
        }
    }

    private static Four Bytes(uint word) => new(
        new Two(Lane.SplatBits(word & 0xFF), Lane.SplatBits((word >> 8) & 0xFF)),
        new Two(Lane.SplatBits((word >> 16) & 0xFF), Lane.SplatBits(word >> 24)));

    private static Two Halves(uint word) => new(Lane.SplatBits(word & 0xFFFF), Lane.SplatBits(word >> 16));

    private static uint Halves(Two bits, int width) => bits.Low.Bits | (bits.High.Bits << width);

    private static Four Whole(Words4 words) => new(
        new Two(Lane.SplatBits(words.X), Lane.SplatBits(words.Y)),
        new Two(Lane.SplatBits(words.Z), Lane.SplatBits(words.W)));

    private static Words4 Whole(Four bits) =>
        new(bits.Low.Low.Bits, bits.Low.High.Bits, bits.High.Low.Bits, bits.High.High.Bits);

    private static Two Doubles(Words4 words) =>
        new(Narrowed(words.X, words.Y), Narrowed(words.Z, words.W));

    private static Words4 Doubles(Two values)
    {
        ulong low = Widened(values.Low), high = Widened(values.High);
        return new Words4((uint)low, (uint)(low >> 32), (uint)high, (uint)(high >> 32));
    }

    // The codec has left one NaN; what a conversion makes of it is the device's business.
    private static ulong Widened(Lane value) =>
        value.Bits == 0x7FC0_0000 ? 0x7FF8_0000_0000_0000 : Interop.FloatAsInt((double)value.Value);

    /// <summary>A double as fp32. A NaN keeps its sign and the upper bits of its payload, as on the CPU.</summary>
    public static Lane Narrowed(uint low, uint high)
    {
        uint exponent = high & 0x7FFF_FFFF;
        return exponent > 0x7FF0_0000 || (exponent == 0x7FF0_0000 && low != 0)
            ? Lane.SplatBits((high & 0x8000_0000) | 0x7FC0_0000 | ((high & 0x7_FFFF) << 3) | (low >> 29))
            : new Lane((float)Interop.IntAsFloat(((ulong)high << 32) | low));
    }
}
