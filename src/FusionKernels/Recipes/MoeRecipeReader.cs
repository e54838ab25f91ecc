namespace FusionKernels.Recipes;

/// <summary>
/// Reads the YAML of mergekit-moe. Gates that need a forward pass or a tokenizer are refused by name, as is every key
/// that is not known.
/// </summary>
public static class MoeRecipeReader
{
    /// <summary>The merge method's name of a recipe that puts a mixture together.</summary>
    internal const string Method = "moe";

    private static readonly string[] Keys =
    [
        "base_model", "experts", "shared_experts", "gate_mode", "experts_per_token", "architecture", "dtype",
    ];

    private static readonly string[] ExpertKeys =
        ["source_model", "positive_prompts", "negative_prompts", "noise_scale", "residual_scale"];

    private static readonly string[] GateModes = ["random", "uniform_random"];
    private static readonly string[] ForwardModes = ["hidden", "hidden_last", "hidden_avg"];

    /// <summary>Reads a file.</summary>
    /// <exception cref="MergeException">Names file, line and key of what is wrong.</exception>
    /// <exception cref="Safetensors.SourceUnavailableException">The file is missing or cannot be read.</exception>
    public static Recipe Load(string path, bool lenient = false) => Parse(RecipeReader.ReadText(path), path, lenient);

    /// <summary>Reads text; <paramref name="name"/> stands for the file in messages.</summary>
    public static Recipe Parse(string text, string name = "recipe", bool lenient = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (YamlNode.Parse(text, name) is not [var root])
            throw new MergeException(MergeError.Recipe, $"{name}: a mixture has one YAML document");
        var reading = new RecipeReader.Reading(lenient, []);
        var keys = RecipeReader.MapOf(root, "the recipe");
        reading.RefuseUnknown(keys, Keys, "a mixture's recipe");
        var moe = new MoeRecipe(
            RecipeReader.ReadReference(Find("base_model") ?? throw root.Error("'base_model' is missing"), "base_model"),
            Experts(reading, Find("experts") ?? throw root.Error("'experts' is missing"), "experts"))
        {
            SharedExperts = Find("shared_experts") is { } shared ? Experts(reading, shared, "shared_experts") : [],
            GateMode = Gates(Find("gate_mode")
                ?? throw root.Error("'gate_mode' is missing; its default, hidden, needs a forward pass")),
            ExpertsPerToken = Find("experts_per_token") is { } count
                ? RecipeReader.ReadCount("experts_per_token", count, 1) : 2,
            Architecture = Find("architecture") is { } architecture
                ? RecipeReader.ReadChoice<MoeArchitecture>("architecture", architecture) : null,
            Dtype = Find("dtype")?.AsText("dtype"),
        };
        return Recipe.For(Method) with { Moe = moe, Text = text, Origin = name, Warnings = reading.Warnings };

        YamlNode? Find(string key) => MoeRecipeReader.Find(keys, key);
    }

    private static MoeExpert[] Experts(RecipeReader.Reading reading, YamlNode list, string name) =>
        (list.Items ?? throw list.Error($"'{name}' must be a list")).Select(item =>
        {
            var keys = RecipeReader.MapOf(item, $"an entry of '{name}'");
            reading.RefuseUnknown(keys, ExpertKeys, $"an entry of '{name}'");
            var source = Find("source_model") ?? throw item.Error($"an entry of '{name}' needs 'source_model'");
            return new MoeExpert(RecipeReader.ReadReference(source, "source_model"))
            {
                NoiseScale = Number("noise_scale", 0),
                ResidualScale = Number("residual_scale", 1),
                HasPrompts = Find("positive_prompts") is { Items.Count: > 0 },
            };

            double Number(string key, double otherwise) => Find(key) is not { } value ? otherwise
                : value.AsNumber() ?? throw value.Error($"'{key}' must be a finite number");

            YamlNode? Find(string key) => MoeRecipeReader.Find(keys, key);
        }).ToArray();

    private static GateMode Gates(YamlNode node)
    {
        string mode = node.AsText("gate_mode");
        if (ForwardModes.Contains(mode))
            throw node.Error($"'gate_mode: {mode}' needs a forward pass over the prompts; random and uniform_random do not");
        if (mode == "cheap_embed")
            throw node.Error("'gate_mode: cheap_embed' needs the prompts in tokens; random and uniform_random do not");
        int choice = Array.IndexOf(GateModes, mode);
        return choice >= 0 ? (GateMode)choice : throw node.Error(
            $"'gate_mode' is one of {string.Join(", ", GateModes)}, not '{mode}'{Spelling.Suggest(mode, GateModes)}");
    }

    private static YamlNode? Find(IReadOnlyList<(string Key, YamlNode Value)> keys, string key) =>
        keys.FirstOrDefault(k => k.Key == key).Value is { IsNull: false } value ? value : null;
}
