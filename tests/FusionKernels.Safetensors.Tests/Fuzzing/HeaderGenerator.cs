using System.Runtime.InteropServices;
using System.Text;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>
/// Draws safetensors files by the grammar of their header, most of them with few mistakes, so that every rule is
/// reached: the early ones by lies about lengths, the late ones by headers that are right but for one number.
/// </summary>
internal static class HeaderGenerator
{
    private static readonly string[] Dtypes = [.. FormatOracle.Dtypes];

    private static readonly byte[][] RealFiles =
    [
        .. CorpusTests.ValidFiles.Select(file => File.ReadAllBytes(Path.Combine(CorpusTests.Folder, file)))
            .Where(file => file.Length < 4000),
    ];

    /// <summary>A file.</summary>
    public static byte[] Draw(Random random)
    {
        (byte[] header, int dataLength) = random.OneIn(10) ? Real(random) : Made(random);
        if (random.OneIn(3))
        {
            for (int edits = random.Next(1, 3); edits > 0; edits--) header = TextMutator.Mutate(header, random);
        }

        if (random.OneIn(15)) dataLength = Math.Max(0, dataLength + random.Of(-1, 1, 8, -dataLength));
        byte[] file = RawFile.Of(header, dataLength);
        if (random.OneIn(20)) BitConverter.TryWriteBytes(file, file.Length + (long)random.Of(-9, -8, -7, 0, 100_000_000));
        if (random.OneIn(40)) file[random.Next(8)] ^= (byte)(1 << random.Next(8));
        return random.OneIn(40) ? file[..random.Next(file.Length + 1)] : file;
    }

    private static (byte[] Header, int DataLength) Real(Random random)
    {
        byte[] file = random.Of(RealFiles);
        int length = 8 + (int)BitConverter.ToInt64(file);
        return (file[8..length], file.Length - length);
    }

    private static (byte[] Header, int DataLength) Made(Random random)
    {
        var entries = new List<string>();
        long end = 0;
        for (int count = random.Next(6); count > 0; count--)
        {
            string name = random.OneIn(8) ? random.Of("a", "é", "😀", "", "x/y\n") : $"t{count}";
            entries.Add($"{random.Spell(name)}:{Tensor(random, ref end)}");
        }

        if (random.OneIn(3)) random.Shuffle(CollectionsMarshal.AsSpan(entries));
        if (random.OneIn(3))
            entries.Insert(random.Next(entries.Count + 1), $"{random.Spell("__metadata__")}:{Metadata(random)}");
        return (Encoding.UTF8.GetBytes(random.Object(entries)), (int)end);
    }

    private static string Metadata(Random random) => random.Of(
        "null", "{}", "{\"format\":\"pt\"}", "{\"format\":\"pt\",\"a\":\"\\u00e9\"}", "[]", "{\"a\":1}", "{\"a\":null}",
        "{\"a\":\"b\",\"\\u0061\":\"c\"}", "{\"\\udc00\":\"\"}", "{\"a\":\"\\ud800\"}");

    private static string Tensor(Random random, ref long end)
    {
        string dtype = random.Of(Dtypes);
        int bits = FormatOracle.BitsOf(dtype);
        long[] dims = [.. Enumerable.Range(0, random.Next(4)).Select(_ => (long)random.Next(bits < 8 ? 9 : 4))];
        long begin = end;
        end += (dims.Aggregate(1L, (a, b) => a * b) * bits + 7) / 8;
        string[] shape = [.. dims.Select(d => d.ToString())], offsets = [$"{begin}", $"{end}"];

        var fields = new List<string> { "dtype", "shape", "data_offsets" };
        if (random.OneIn(12)) Spoil(random, ref dtype, ref shape, ref offsets, fields);
        if (random.OneIn(6)) fields.Insert(random.Next(fields.Count + 1), random.Of("x", "é", "dtype2", "\\ud800"));
        if (random.OneIn(6)) random.Shuffle(CollectionsMarshal.AsSpan(fields));
        (string dtypeText, string shapeText, string offsetsText) =
            (random.Spell(dtype), $"[{string.Join(',', shape)}]", $"[{string.Join(',', offsets)}]");
        return random.Object([.. fields.Select(field => (field is "\\ud800" ? $"\"x{field}\"" : random.Spell(field)) + ":" + field switch
        {
            "dtype" => dtypeText,
            "shape" => shapeText,
            "data_offsets" => offsetsText,
            _ => random.Of("1e5", "[{},[null]]", "{\"dtype\":\"\\ud800\"}", "\"\\udc00\"", "true"),
        })]);
    }

    // One mistake in a tensor that is right otherwise.
    private static void Spoil(
        Random random, ref string dtype, ref string[] shape, ref string[] offsets, List<string> fields)
    {
        string odd = random.Of(
            "-1", "-0", "1.0", "1e1", "01", "null", "\"1\"", "[]", "true", "18446744073709551615", "18446744073709551616",
            "9223372036854775808", "4294967296", "2305843009213693952", "1", "2", "");
        switch (random.Next(9))
        {
            case 0:
                dtype = random.Of("f32", "F33", "", "F8_E4M3FN", "F32 ", "\ud83d\ude00");
                break;
            case 1:
                fields.Remove(random.Of("dtype", "shape", "data_offsets"));
                break;
            case 2:
                fields.Add(random.Of("dtype", "shape", "data_offsets"));
                break;
            case 3:
                offsets[random.Next(2)] = odd;
                break;
            case 4:
                offsets = random.Of<string[]>([], [offsets[0]], [.. offsets, "0"], [offsets[1], offsets[0]]);
                break;
            case 5:
                offsets[1] = $"{ulong.Parse(offsets[1]) + (ulong)random.Next(1, 3)}";
                break;
            case 6 when shape.Length > 0:
                shape[random.Next(shape.Length)] = odd;
                break;
            case 7:
                shape = [.. shape, random.Of("0", odd), random.Of("4294967296", "18446744073709551615")];
                break;
            default:
                shape = [random.Of("4294967296", "0"), "4294967296", .. shape];
                break;
        }
    }
}
