using System.Text.Json.Nodes;
using FusionKernels.Models;
using FusionKernels.Tokenizers;

namespace FusionKernels.Planning;

/// <summary>Where a config.json says what a merge must know.</summary>
internal static class ModelConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    /// <summary>Names of the number of layers.</summary>
    public static readonly string[] LayerKeys = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];

    private static readonly string[] TextModels = ["text_config", "llm_config", "language_config"];

    /// <summary>A model's config; <c>null</c> where it has none.</summary>
    /// <exception cref="MergeException">It is no JSON object.</exception>
    public static JsonObject? Read(Model model) => JsonFile.Read(model, FileName);

    /// <summary>The config itself, and what it says of its text model where that is a part of it.</summary>
    public static IEnumerable<JsonObject> Parts(JsonObject config) =>
        TextModels.Select(name => config[name]).OfType<JsonObject>().Prepend(config);

    /// <summary>The parts that say how many layers there are, with the key that does.</summary>
    public static IEnumerable<(JsonObject Part, string Key, int Layers)> Stacks(JsonObject config) =>
        from part in Parts(config)
        let key = LayerKeys.FirstOrDefault(part.ContainsKey)
        where key is not null && part[key] is JsonValue
        let layers = part[key]!.AsValue().TryGetValue(out int count) ? count : 0
        where layers > 0
        select (part, key, layers);

    /// <summary>The lists with one entry for each layer of a stack, by name.</summary>
    public static IEnumerable<KeyValuePair<string, JsonArray>> ListsOverLayers(JsonObject part, int layers) =>
        Lists(part).Where(l => l.Value.Count == layers && l.Key != "architectures"
            && !l.Key.Contains("token_id", StringComparison.Ordinal) && !AreNumbers(l.Value, layers));

    /// <summary>The names of the lists that speak of some layers by their numbers.</summary>
    public static IEnumerable<string> ListsOfLayers(JsonObject part, int layers) =>
        Lists(part).Where(l => AreNumbers(l.Value, layers)
            && (l.Key.Contains("layer", StringComparison.Ordinal) || l.Key.Contains("idx", StringComparison.Ordinal)
                || l.Key.Contains("indices", StringComparison.Ordinal))).Select(l => l.Key);

    private static IEnumerable<KeyValuePair<string, JsonArray>> Lists(JsonObject part) =>
        from entry in part
        where entry.Value is JsonArray
        select KeyValuePair.Create(entry.Key, entry.Value.AsArray());

    // 0, 2, 3: whole numbers below the number of layers, each greater than the one before.
    private static bool AreNumbers(JsonArray list, int layers)
    {
        int last = -1;
        foreach (var entry in list)
        {
            if (entry is not JsonValue value || !value.TryGetValue(out int layer) || layer <= last || layer >= layers)
                return false;
            last = layer;
        }

        return list.Count > 0;
    }
}
