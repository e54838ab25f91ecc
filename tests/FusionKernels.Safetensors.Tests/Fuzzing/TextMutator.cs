using System.Text;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>Small changes to a text, in the words of the formats at hand.</summary>
internal static class TextMutator
{
    private static readonly string[] Tokens =
    [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0061", "\\ud800", "null", "true", "-0", "1e9", "0.5", "01",
        "18446744073709551615", "18446744073709551616", "9223372036854775808", "\"dtype\"", "\"shape\"",
        "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"F4\"", "\"weight_map\"", "\"metadata\"", "[]", "{}", "\0",
        "\ufeff", "é", " ",
    ];

    /// <summary>The text with a piece cut out, doubled, replaced, or one character or bit changed.</summary>
    public static byte[] Mutate(byte[] text, Random random)
    {
        int at = random.Next(text.Length + 1), to = Math.Min(text.Length, at + random.Next(20));
        switch (random.Next(5))
        {
            case 0:
                return [.. text[..at], .. text[to..]];
            case 1:
                return [.. text[..to], .. text[at..]];
            case 2:
                return [.. text[..at], .. Token(random), .. text[at..]];
            case 3:
                return [.. text[..at], .. Token(random), .. text[to..]];
            default:
                if (at == text.Length) return text;
                text = [.. text];
                if (char.IsAsciiDigit((char)text[at])) text[at] = (byte)('0' + random.Next(10));
                else text[at] ^= (byte)(1 << random.Next(8));
                return text;
        }
    }

    private static byte[] Token(Random random) => Encoding.UTF8.GetBytes(Tokens[random.Next(Tokens.Length)]);
}
