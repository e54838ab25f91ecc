using System.Text;

namespace FusionKernels.Safetensors.Tests;

/// <summary>
/// Seeded mutations of real files: whatever the bytes, there is a verdict. What is accepted must hold together; what is
/// refused must be refused by our exception, in one line.
/// </summary>
[TestFixture]
public sealed class MutationTests
{
    private static readonly string[] Tokens =
    [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0061", "\\ud800", "null", "true", "-0", "1e9", "0.5", "01",
        "18446744073709551615", "18446744073709551616", "9223372036854775808", "\"dtype\"", "\"shape\"",
        "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"F4\"", "[]", "{}", "\0", "\ufeff", "é", " ",
    ];

    [Test]
    public void Every_mutated_file_has_a_verdict([Range(1, 4)] int seed)
    {
        byte[][] originals =
        [
            .. CorpusTests.ValidFiles.Select(file => File.ReadAllBytes(Path.Combine(CorpusTests.Folder, file)))
                .Where(file => file.Length < 10_000),
            RawFile.WithTensors("a"),
            RawFile.Of("{}"),
        ];
        var random = new Random(seed);
        int accepted = 0, refused = 0;
        for (int round = 0; round < 3000; round++)
        {
            byte[] file = Mutate(originals[random.Next(originals.Length)], random);
            try
            {
                SafetensorsHeader header = SafetensorsHeader.Parse(file);
                Assert.That(header.DataOffset + header.DataLength, Is.EqualTo(file.Length));
                Assert.That(header.Tensors.Sum(t => t.ByteLength), Is.EqualTo(header.DataLength));
                Assert.That(header.Tensors.All(t => header.TryGet(t.Name, out TensorInfo? same) && same == t));
                accepted++;
            }
            catch (SafetensorsException error)
            {
                Assert.That(error.Message.Any(char.IsControl), Is.False, $"seed {seed}, round {round}");
                refused++;
            }
        }

        Assert.That(accepted, Is.GreaterThan(50), "some mutations touch only data or names");
        Assert.That(refused, Is.GreaterThan(1000));
    }

    [Test]
    public void Every_mutated_index_has_a_verdict()
    {
        string path = Path.Combine(CorpusTests.Folder, "fluxml-sharded", "model.safetensors.index.json");
        byte[] original = File.ReadAllBytes(path);
        var random = new Random(5);
        for (int round = 0; round < 3000; round++)
        {
            byte[] text = [.. original];
            for (int i = random.Next(3); i >= 0; i--) text = MutateText(text, random);
            try
            {
                ShardIndex index = ShardIndex.Parse(text, "index");
                Assert.That(index.WeightMap.Values, Has.All.EndsWith(".safetensors"));
            }
            catch (SafetensorsException error)
            {
                Assert.That(error.Message.Any(char.IsControl), Is.False, $"round {round}");
            }
        }
    }

    // Half of the mutations keep the length word true to the header, so that they get past the first rules.
    private static byte[] Mutate(byte[] file, Random random)
    {
        int length = (int)BitConverter.ToInt64(file);
        byte[] header = file[8..(8 + length)], data = file[(8 + length)..];
        for (int i = random.Next(3); i >= 0; i--)
        {
            switch (random.Next(8))
            {
                case 0 when data.Length > 0:
                    data[random.Next(data.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    data = data[..random.Next(data.Length + 1)];
                    break;
                case 2:
                    byte[] raw = [.. BitConverter.GetBytes((long)header.Length), .. header, .. data];
                    raw[random.Next(raw.Length)] ^= (byte)(1 << random.Next(8));
                    return raw;
                default:
                    header = MutateText(header, random);
                    break;
            }
        }

        return [.. BitConverter.GetBytes((long)header.Length), .. header, .. data];
    }

    private static byte[] MutateText(byte[] text, Random random)
    {
        int at = random.Next(text.Length + 1), to = Math.Min(text.Length, at + random.Next(20));
        switch (random.Next(5))
        {
            case 0:
                return [.. text[..at], .. text[to..]];
            case 1:
                return [.. text[..to], .. text[at..]];
            case 2:
                return [.. text[..at], .. Encoding.UTF8.GetBytes(Tokens[random.Next(Tokens.Length)]), .. text[at..]];
            case 3:
                return [.. text[..at], .. Encoding.UTF8.GetBytes(Tokens[random.Next(Tokens.Length)]), .. text[to..]];
            default:
                if (at == text.Length) return text;
                text = [.. text];
                if (char.IsAsciiDigit((char)text[at])) text[at] = (byte)('0' + random.Next(10));
                else text[at] ^= (byte)(1 << random.Next(8));
                return text;
        }
    }
}
