using System.Buffers;
using System.Text;

namespace FusionKernels.Safetensors;

/// <summary>
/// JSON text with the exact escapes of the programs whose files are reproduced byte by byte; the encoders of .NET
/// escape more, or with other digits.
/// </summary>
internal sealed class JsonText
{
    private static readonly UTF8Encoding StrictUtf8 = new(
        encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ArrayBufferWriter<byte> bytes = new();

    /// <summary>Bytes written so far.</summary>
    public int Length => bytes.WrittenCount;

    /// <summary>Appends text as it is.</summary>
    /// <exception cref="ArgumentException">A surrogate stands alone.</exception>
    public JsonText Raw(string text)
    {
        StrictUtf8.GetBytes(text, bytes);
        return this;
    }

    /// <summary>Appends a string as Rust's serde_json does: all but control characters stays UTF-8.</summary>
    public JsonText SerdeString(string value) => Quoted(value, asciiOnly: false);

    /// <summary>Appends a string as Python's json.dumps does: all but printable ASCII is escaped.</summary>
    public JsonText PythonString(string value) => Quoted(value, asciiOnly: true);

    public byte[] ToArray() => bytes.WrittenSpan.ToArray();

    private JsonText Quoted(string value, bool asciiOnly)
    {
        var text = new StringBuilder(value.Length + 2).Append('"');
        foreach (char c in value)
        {
            text = c switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\b' => text.Append("\\b"),
                '\t' => text.Append("\\t"),
                '\n' => text.Append("\\n"),
                '\f' => text.Append("\\f"),
                '\r' => text.Append("\\r"),
                < ' ' => text.Append($"\\u{(int)c:x4}"),
                >= '\x7f' when asciiOnly => text.Append($"\\u{(int)c:x4}"),
                _ => text.Append(c),
            };
        }

        return Raw(text.Append('"').ToString());
    }
}
