using System.Text;

namespace FusionKernels.Safetensors;

/// <summary>A file that breaks a rule of the format. The message is one line: file, tensor, rule.</summary>
public sealed class SafetensorsException : IOException
{
    private const int LongestName = 200;

    /// <summary>Names the rule, the file and, where one is to blame, the tensor.</summary>
    public SafetensorsException(
        FormatError code, string path, string? tensorName, string message, Exception? innerException = null)
        : base(Compose(path, tensorName, message), innerException)
    {
        Code = code;
        Path = path;
        TensorName = tensorName;
    }

    /// <summary>The broken rule.</summary>
    public FormatError Code { get; }

    /// <summary>The file that breaks it.</summary>
    public string Path { get; }

    /// <summary>The tensor that breaks it, where it is about one.</summary>
    public string? TensorName { get; }

    private static string Compose(string path, string? tensorName, string message) => tensorName is null
        ? $"{path}: {OneLine(message)}"
        : $"{path}: tensor '{OneLine(tensorName)}': {OneLine(message)}";

    // Names come from untrusted files: control characters are spelled out and a name cannot fill the screen.
    private static string OneLine(string text)
    {
        var line = new StringBuilder();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, LongestName)))
        {
            if (char.IsControl(c) || c is '\u2028' or '\u2029') line.Append($"\\u{(int)c:x4}");
            else line.Append(c);
        }

        return text.Length > LongestName ? line.Append('…').ToString() : line.ToString();
    }
}
