using System.Text;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>Draws that the generators share.</summary>
internal static class Draws
{
    /// <summary>True once in so many draws.</summary>
    public static bool OneIn(this Random random, int count) => random.Next(count) == 0;

    /// <summary>One of them.</summary>
    public static T Of<T>(this Random random, params ReadOnlySpan<T> choices) => choices[random.Next(choices.Length)];

    /// <summary>A JSON string that means the text, now and then by way of escapes.</summary>
    public static string Spell(this Random random, string text)
    {
        var spelled = new StringBuilder("\"");
        bool plain = !random.OneIn(4);
        foreach (char c in text)
        {
            if (c is '"' or '\\' or < ' ' || (!plain && random.OneIn(2))) spelled.Append($"\\u{(int)c:x4}");
            else spelled.Append(c);
        }

        return spelled.Append('"').ToString();
    }

    /// <summary>Entries joined to an object, now and then with white space.</summary>
    public static string Object(this Random random, IReadOnlyCollection<string> entries)
    {
        string space = random.Of("", "", "", " ", "\n\t");
        return $"{space}{{{string.Join($",{space}", entries)}{space}}}{space}";
    }
}
