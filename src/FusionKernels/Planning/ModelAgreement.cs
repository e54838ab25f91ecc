using System.Text.Json.Nodes;
using FusionKernels.Recipes;

namespace FusionKernels.Planning;

/// <summary>
/// What the config.json of a merge's models must agree in, because tensors of the same name and shape mean something
/// else otherwise.
/// </summary>
internal static class ModelAgreement
{
    // A stack of layers has one stream of this width.
    private static readonly string[] Widths = ["hidden_size", "n_embd", "d_model"];

    // What layers compute from equal tensors depends on these; the output keeps those of its donor.
    private static readonly string[] Meanings =
    [
        "model_type", "intermediate_size", "num_attention_heads", "n_head", "num_key_value_heads", "head_dim",
        "hidden_act", "rope_theta", "rope_scaling", "rope_parameters",
    ];

    /// <summary>What differs between models with a config.json, one line for each key.</summary>
    /// <param name="models">The models.</param>
    /// <param name="recipe">How they are merged.</param>
    /// <param name="lenient">Whether what cannot work is a warning too.</param>
    /// <exception cref="MergeException">The models cannot work together, or a config is no JSON object.</exception>
    public static IEnumerable<string> Warnings(IEnumerable<PlannedModel> models, Recipe recipe, bool lenient)
    {
        var configs = models.Select(m => (m.Path, Config: ModelConfig.Read(m.Input)))
            .Where(m => m.Config is not null).ToArray();
        var warnings = new List<string>();
        foreach (string key in Widths)
        {
            if (Difference(key) is not { } difference)
                continue;
            if (!lenient)
                throw new MergeException(MergeError.Models, $"{difference}: their layers do not fit together");
            warnings.Add(difference);
        }

        // Slices choose layers themselves.
        IEnumerable<string> others = recipe.Slices.Count > 0 ? Meanings : [.. Meanings, .. ModelConfig.LayerKeys];
        warnings.AddRange(others.Select(Difference).OfType<string>());
        return warnings;

        // A key that a config lacks has a default that only the model's code knows; a list is a layer's matter.
        string? Difference(string key)
        {
            var known = configs.Select(m => (m.Path, Value: Find(m.Config!, key)))
                .Where(m => m.Value is not null).ToArray();
            var (path, value) = known.FirstOrDefault(m => !JsonNode.DeepEquals(m.Value, known[0].Value));
            return value is null ? null
                : $"{ModelConfig.FileName}: '{key}' is {known[0].Value!.ToJsonString()} in {known[0].Path} "
                + $"and {value.ToJsonString()} in {path}";
        }
    }

    private static JsonNode? Find(JsonObject config, string key) =>
        ModelConfig.Parts(config).Select(part => part[key]).FirstOrDefault(value => value is not (null or JsonArray));
}
