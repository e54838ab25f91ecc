using System.Text.RegularExpressions;

namespace FusionKernels.Recipes;

/// <summary>Writing YAML scalars.</summary>
internal static partial class YamlText
{
    /// <summary>The text as a YAML scalar: plain where nothing can be misread, else in double quotes with JSON's escapes.</summary>
    public static string Quote(string text) =>
        Plain().IsMatch(text) ? text : System.Text.Json.JsonSerializer.Serialize(text, RecipeJson.Default.String);

    // Words that YAML reads as null, a truth value or a number are no plain text.
    [GeneratedRegex(
        @"\A(?!(null|true|false|yes|no|on|off|y|n|\.nan|\.inf)\z)[A-Za-z_./][A-Za-z0-9_./+-]*\z", RegexOptions.IgnoreCase)]
    private static partial Regex Plain();
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
internal sealed partial class RecipeJson : System.Text.Json.Serialization.JsonSerializerContext;
