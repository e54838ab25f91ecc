using System.Collections.Concurrent;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// The storage types as their standards define them, by arithmetic in double and search in a sorted table: slow,
/// obvious, and without a line in common with the codecs.
/// </summary>
internal static class CodeOracle
{
    private static readonly ConcurrentDictionary<ElementType, double[]> Tables = new();

    /// <summary>The code of element <paramref name="index"/>.</summary>
    public static ulong Read(ReadOnlySpan<byte> stored, int index, ElementType type)
    {
        ulong code = 0;
        for (int b = type.Size() - 1; b >= 0; b--)
            code = (code << 8) | stored[(index * type.Size()) + b];
        return code;
    }

    /// <summary>Writes the code of element <paramref name="index"/>.</summary>
    public static void Write(Span<byte> stored, int index, ElementType type, ulong code)
    {
        for (int b = 0; b < type.Size(); b++)
            stored[(index * type.Size()) + b] = (byte)(code >> (8 * b));
    }

    /// <summary>
    /// The value of a code: sign * 2^(exponent - bias) * mantissa, denormals and specials by their definitions.
    /// </summary>
    public static double Decode(ElementType type, ulong code)
    {
        switch (type)
        {
            case ElementType.F64:
                return BitConverter.UInt64BitsToDouble(code);
            case ElementType.F32:
                return BitConverter.UInt32BitsToSingle((uint)code);
            case ElementType.F16:
                return (double)BitConverter.UInt16BitsToHalf((ushort)code);
        }

        var (exponentBits, mantissaBits) = Layout(type);
        int bias = (1 << (exponentBits - 1)) - 1;
        int exponent = (int)(code >> mantissaBits) & ((1 << exponentBits) - 1);
        int mantissa = (int)code & ((1 << mantissaBits) - 1);
        double sign = (code >> (exponentBits + mantissaBits)) != 0 ? -1 : 1;
        if (type == ElementType.F8E4M3 && (code & 0x7F) == 0x7F)
            return double.NaN;
        if (type != ElementType.F8E4M3 && exponent == (1 << exponentBits) - 1)
            return mantissa == 0 ? sign * double.PositiveInfinity : double.NaN;
        return exponent == 0
            ? sign * mantissa * Math.Pow(2, 1 - bias - mantissaBits)
            : sign * ((1 << mantissaBits) + mantissa) * Math.Pow(2, exponent - bias - mantissaBits);
    }

    /// <summary>The code nearest to a value, ties to the even code.</summary>
    public static ulong Encode(ElementType type, float value)
    {
        if (float.IsNaN(value))
            return CanonicalNaN(type);
        switch (type)
        {
            case ElementType.F64:
                return BitConverter.DoubleToUInt64Bits(value);
            case ElementType.F32:
                return BitConverter.SingleToUInt32Bits(value);
            case ElementType.F16:
                return BitConverter.HalfToUInt16Bits((Half)value);
        }

        var (exponentBits, mantissaBits) = Layout(type);
        double[] table = PositiveValues(type);
        double magnitude = Math.Abs((double)value);
        ulong sign = BitConverter.SingleToInt32Bits(value) < 0 ? 1ul << (exponentBits + mantissaBits) : 0;

        // One value past the largest finite one, as if the exponent went on: rounding to it is overflow.
        double beyond = (2 * table[^1]) - table[^2];
        int below = table.Length - 1;
        if (magnitude < table[^1])
        {
            int found = Array.BinarySearch(table, magnitude);
            below = found >= 0 ? found : ~found - 1;
        }

        double next = below + 1 < table.Length ? table[below + 1] : beyond;
        double middle = (table[below] + next) / 2;
        int code = magnitude > middle || (magnitude == middle && (below & 1) == 1) ? below + 1 : below;
        if (code == table.Length && type == ElementType.F8E4M3)
            return CanonicalNaN(type);
        return sign + (ulong)code;
    }

    /// <summary>What every NaN is stored as.</summary>
    public static ulong CanonicalNaN(ElementType type) => type switch
    {
        ElementType.F64 => 0x7FF8_0000_0000_0000,
        ElementType.F32 => 0x7FC0_0000,
        ElementType.F16 => 0x7E00,
        ElementType.BF16 => 0x7FC0,
        ElementType.F8E4M3 => 0x7F,
        _ => 0x7E,
    };

    /// <summary>All finite values without a sign, ascending: the index is the code.</summary>
    public static double[] PositiveValues(ElementType type) => Tables.GetOrAdd(type, static type =>
        [.. Enumerable.Range(0, 1 << ((8 * type.Size()) - 1)).Select(code => Decode(type, (ulong)code))
            .TakeWhile(double.IsFinite)]);

    private static (int ExponentBits, int MantissaBits) Layout(ElementType type) => type switch
    {
        ElementType.F16 => (5, 10),
        ElementType.BF16 => (8, 7),
        ElementType.F8E4M3 => (4, 3),
        ElementType.F8E5M2 => (5, 2),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };
}
