namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Every codec on every lane width against oracles that share no code with it: System.Half, System.Math, and a search
/// over the sorted table of all values for the narrow types.
/// </summary>
public sealed unsafe class CodecTests
{
    private static readonly ElementType[] AllTypes = Enum.GetValues<ElementType>();

    private static IEnumerable<ElementType> TypesWithPatterns() => AllTypes.Where(type => type.Size() <= 2);

    [TestCaseSource(nameof(TypesWithPatterns))]
    public void Every_stored_pattern_decodes_to_its_value(ElementType type)
    {
        int patterns = 1 << (8 * type.Size());
        byte[] stored = new byte[patterns * type.Size()];
        for (int code = 0; code < patterns; code++)
            CodeOracle.Write(stored, code, type, (ulong)code);
        foreach (float[] decoded in DecodeOnEveryWidth(type, stored, patterns))
        {
            for (int code = 0; code < patterns; code++)
                AssertSame(decoded[code], (float)CodeOracle.Decode(type, (ulong)code), $"{type} 0x{code:X}");
        }
    }

    [TestCaseSource(nameof(TypesWithPatterns))]
    public void Every_stored_pattern_survives_a_round_trip_and_NaN_becomes_canonical(ElementType type)
    {
        int patterns = 1 << (8 * type.Size());
        float[] values = [.. Enumerable.Range(0, patterns).Select(code => (float)CodeOracle.Decode(type, (ulong)code))];
        foreach (byte[] encoded in EncodeOnEveryWidth(type, values))
        {
            for (int code = 0; code < patterns; code++)
            {
                ulong expected = float.IsNaN(values[code]) ? CodeOracle.CanonicalNaN(type) : (ulong)code;
                Assert.That(CodeOracle.Read(encoded, code, type), Is.EqualTo(expected), $"{type} 0x{code:X}");
            }
        }
    }

    [TestCaseSource(nameof(AllTypes))]
    public void Encoding_rounds_to_nearest_even_at_every_boundary(ElementType type) =>
        AssertEncodes(type, Boundaries(type));

    [TestCaseSource(nameof(AllTypes))]
    public void Encoding_random_bit_patterns_agrees_with_the_oracle_on_every_width(ElementType type)
    {
        var random = new Random(20240 + (int)type);
        float[] values = new float[1 << 18];
        for (int i = 0; i < values.Length; i++)
        {
            // Half the patterns are uniform over all floats, half over the exponents that the type can hold.
            uint bits = (uint)random.NextInt64(1L << 32);
            if ((i & 1) == 0)
                bits = (bits & 0x807F_FFFF) | ((uint)random.Next(127 - 26, 127 + 17) << 23);
            values[i] = BitConverter.UInt32BitsToSingle(bits);
        }

        AssertEncodes(type, values);
    }

    [Test]
    public void All_widths_agree_on_millions_of_random_patterns()
    {
        var random = new Random(7);
        byte[] bytes = new byte[4 << 20];
        random.NextBytes(bytes);
        foreach (ElementType type in AllTypes)
        {
            int count = bytes.Length / Math.Max(type.Size(), 4);
            float[][] decoded = [.. DecodeOnEveryWidth(type, bytes, count)];
            byte[][] encoded = [.. EncodeOnEveryWidth(type, System.Runtime.InteropServices.MemoryMarshal
                .Cast<byte, float>(bytes)[..count].ToArray())];
            for (int width = 1; width < decoded.Length; width++)
            {
                // NaN payloads are free until they are stored, so decoded values compare after a trip through F32.
                Assert.That(EncodeOn<F32x1>(ElementType.F32, decoded[width])
                    .AsSpan().SequenceEqual(EncodeOn<F32x1>(ElementType.F32, decoded[0])), $"{type} decode {width}");
                Assert.That(encoded[width].AsSpan().SequenceEqual(encoded[0]), $"{type} encode {width}");
            }
        }
    }

    [Test]
    public void Doubles_round_once_to_fp32()
    {
        double[] values =
        [
            0, -0.0, 1, 1 + Math.Pow(2, -24), 1 + Math.Pow(2, -24) + Math.Pow(2, -50), 1 + (3 * Math.Pow(2, -24)),
            double.MaxValue, -double.MaxValue, double.Epsilon, -double.Epsilon, Math.Pow(2, -149), Math.Pow(2, -150),
            Math.Pow(2, -150) + Math.Pow(2, -180), float.MaxValue, 3.40282356779733661637e38, 3.4028235677973362e38,
            double.PositiveInfinity, double.NegativeInfinity, double.NaN,
            BitConverter.UInt64BitsToDouble(0xFFF0_0000_0000_0001),
        ];
        byte[] stored = new byte[values.Length * 8];
        Buffer.BlockCopy(values, 0, stored, 0, stored.Length);
        foreach (float[] decoded in DecodeOnEveryWidth(ElementType.F64, stored, values.Length))
        {
            for (int i = 0; i < values.Length; i++)
                AssertSame(decoded[i], (float)values[i], $"{values[i]:R}");
        }
    }

    private static float[] Boundaries(ElementType type)
    {
        var values = new List<float>();
        void AddAround(float value)
        {
            foreach (float near in new[] { value, MathF.BitIncrement(value), MathF.BitDecrement(value) })
            {
                values.Add(near);
                values.Add(-near);
            }
        }

        foreach (float special in new[]
        {
            0f, float.Epsilon, 1.17549435e-38f, float.MaxValue, float.PositiveInfinity, 448, 464, 480, 57344, 61440,
            65504, 65520, 65536, 3.3895314e38f, 3.3961776e38f,
        })
            AddAround(special);
        for (uint payload = 1; payload < 0x80_0000; payload <<= 1)
        {
            values.Add(BitConverter.UInt32BitsToSingle(0x7F80_0000 | payload));
            values.Add(BitConverter.UInt32BitsToSingle(0xFF80_0000 | payload));
        }

        // Every value of the type and every midpoint between neighbours; fp32 can represent both exactly.
        if (type.Size() <= 2)
        {
            double[] table = CodeOracle.PositiveValues(type);
            for (int i = 0; i + 1 < table.Length; i++)
            {
                AddAround((float)table[i]);
                AddAround((float)((table[i] + table[i + 1]) / 2));
            }
        }

        return [.. values];
    }

    private static void AssertEncodes(ElementType type, float[] values)
    {
        ulong[] expected = [.. values.Select(value => CodeOracle.Encode(type, value))];
        foreach (byte[] encoded in EncodeOnEveryWidth(type, values))
        {
            for (int i = 0; i < values.Length; i++)
            {
                ulong actual = CodeOracle.Read(encoded, i, type);
                if (actual != expected[i])
                    Assert.Fail($"{type}: {values[i]:R} became 0x{actual:X}, not 0x{expected[i]:X}");
            }
        }
    }

    private static void AssertSame(float actual, float expected, string what)
    {
        bool same = float.IsNaN(expected)
            ? float.IsNaN(actual)
            : BitConverter.SingleToUInt32Bits(actual) == BitConverter.SingleToUInt32Bits(expected);
        if (!same)
            Assert.Fail($"{what} became {actual:R}, not {expected:R}");
    }

    private static IEnumerable<float[]> DecodeOnEveryWidth(ElementType type, byte[] stored, int count)
    {
        yield return DecodeOn<F32x1>(type, stored, count);
        yield return DecodeOn<F32x4>(type, stored, count);
        yield return DecodeOn<F32x8>(type, stored, count);
        yield return DecodeOn<F32x16>(type, stored, count);
    }

    private static IEnumerable<byte[]> EncodeOnEveryWidth(ElementType type, float[] values)
    {
        yield return EncodeOn<F32x1>(type, values);
        yield return EncodeOn<F32x4>(type, values);
        yield return EncodeOn<F32x8>(type, values);
        yield return EncodeOn<F32x16>(type, values);
    }

    private static float[] DecodeOn<T>(ElementType type, byte[] stored, int count)
        where T : struct, ICpuLanes<T>
    {
        int padded = (count + T.Count - 1) / T.Count * T.Count;
        byte[] source = new byte[padded * type.Size()];
        stored.AsSpan(0, count * type.Size()).CopyTo(source);
        float[] values = new float[padded];
        fixed (byte* from = source)
        fixed (float* to = values)
        {
            var action = new DecodeAction<T>(from, to, padded);
            Codec.Select(type, ref action);
        }

        return values[..count];
    }

    private static byte[] EncodeOn<T>(ElementType type, float[] values)
        where T : struct, ICpuLanes<T>
    {
        int padded = (values.Length + T.Count - 1) / T.Count * T.Count;
        float[] source = new float[padded];
        values.CopyTo(source, 0);
        byte[] stored = new byte[padded * type.Size()];
        fixed (float* from = source)
        fixed (byte* to = stored)
        {
            var action = new EncodeAction<T>(from, to, padded);
            Codec.Select(type, ref action);
        }

        return stored[..(values.Length * type.Size())];
    }

    private readonly struct DecodeAction<T>(byte* from, float* to, int count) : ICodecAction
        where T : struct, ICpuLanes<T>
    {
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            for (int i = 0; i < count; i += T.Count)
                T.Store(Codec.Load<TCodec, T>(from + (i * TCodec.Size)), (byte*)(to + i), sizeof(float));
        }
    }

    private readonly struct EncodeAction<T>(float* from, byte* to, int count) : ICodecAction
        where T : struct, ICpuLanes<T>
    {
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            for (int i = 0; i < count; i += T.Count)
                Codec.Store<TCodec, T>(to + (i * TCodec.Size), T.Load((byte*)(from + i), sizeof(float)));
        }
    }
}
