using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>
/// JSON by the letter of RFC 8259, for an oracle: slow, obvious, and without any code of what it judges. It keeps all
/// entries of an object, those of equal keys too, and after a fault what was read before it.
/// </summary>
internal sealed partial class PlainJson
{
    private const int MaxDepth = 64;
    private readonly string text;
    private int at;
    private bool broken;

    private PlainJson(string text) => this.text = text;

    /// <summary>Reads the one value that the text is.</summary>
    public static PlainValue Parse(string text, out bool wellFormed)
    {
        var parser = new PlainJson(text);
        PlainValue root = parser.ReadValue(0);
        parser.SkipSpace();
        wellFormed = !parser.broken && parser.at == text.Length;
        return root;
    }

    private PlainValue ReadValue(int depth)
    {
        SkipSpace();
        return Peek() switch
        {
            '{' => ReadObject(depth + 1),
            '[' => ReadArray(depth + 1),
            '"' => new PlainValue('"') { Text = ReadString() },
            't' => ReadWord("true"),
            'f' => ReadWord("false"),
            'n' => ReadWord("null"),
            _ => ReadNumber(),
        };
    }

    private PlainValue ReadObject(int depth)
    {
        var value = new PlainValue('{');
        if (depth > MaxDepth) return Break(value);
        at++;
        SkipSpace();
        if (Take('}')) return value;
        do
        {
            SkipSpace();
            if (Peek() != '"') return Break(value);
            string? key = ReadString();
            SkipSpace();
            if (!Take(':')) return Break(value);
            value.Entries.Add((key, ReadValue(depth)));
            SkipSpace();
        }
        while (Take(','));
        return Take('}') ? value : Break(value);
    }

    private PlainValue ReadArray(int depth)
    {
        var value = new PlainValue('[');
        if (depth > MaxDepth) return Break(value);
        at++;
        SkipSpace();
        if (Take(']')) return value;
        do
        {
            value.Items.Add(ReadValue(depth));
            SkipSpace();
        }
        while (Take(','));
        return Take(']') ? value : Break(value);
    }

    // The text that is meant; null when a surrogate stands alone, which is well-formed JSON but no Unicode.
    private string? ReadString()
    {
        var meant = new StringBuilder();
        at++;
        while (!Take('"'))
        {
            char c = Peek();
            at++;
            if (c < ' ') return Broken();
            if (c != '\\')
            {
                meant.Append(c);
                continue;
            }

            char escape = Peek();
            at++;
            int plain = "\"\\/bfnrt".IndexOf(escape, StringComparison.Ordinal);
            if (plain >= 0)
            {
                meant.Append("\"\\/\b\f\n\r\t"[plain]);
            }
            else if (escape == 'u' && at + 4 <= text.Length && text.Substring(at, 4).All(char.IsAsciiHexDigit))
            {
                meant.Append((char)int.Parse(text.AsSpan(at, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                at += 4;
            }
            else
            {
                return Broken();
            }
        }

        string result = meant.ToString();
        for (int i = 0; i < result.Length; i++)
        {
            if (i + 1 < result.Length && char.IsSurrogatePair(result[i], result[i + 1])) i++;
            else if (char.IsSurrogate(result[i])) return null;
        }

        return result;

        string? Broken()
        {
            broken = true;
            at = text.Length;
            return null;
        }
    }

    private PlainValue ReadWord(string word)
    {
        if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) return Break(new PlainValue('?'));
        at += word.Length;
        return new PlainValue(word[0]);
    }

    private PlainValue ReadNumber()
    {
        Match number = Number().Match(text, at);
        if (!number.Success) return Break(new PlainValue('?'));
        at += number.Length;
        return new PlainValue('0') { Text = number.Value };
    }

    private PlainValue Break(PlainValue value)
    {
        broken = true;
        at = text.Length;
        return value;
    }

    private void SkipSpace()
    {
        while (Peek() is ' ' or '\t' or '\r' or '\n') at++;
    }

    private bool Take(char c)
    {
        if (Peek() != c) return false;
        at++;
        return true;
    }

    // NUL stands for the end; where it is in the text, no rule allows it either.
    private char Peek() => at < text.Length ? text[at] : '\0';

    [GeneratedRegex(@"\G-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")]
    private static partial Regex Number();
}
