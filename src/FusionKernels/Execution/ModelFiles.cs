using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Planning;
using FusionKernels.Recipes;

namespace FusionKernels.Execution;

/// <summary>
/// The small files that make a folder of shards a model: the donor's config (with dtype, vocabulary and tied head as the output has
/// them), its tokenizer and generation settings as they are, a model card, and the recipe.
/// </summary>
internal static class ModelFiles
{
    /// <summary>Name of the recipe in the output; mergekit's, so that its tools find it.</summary>
    public const string RecipeFile = "mergekit_config.yml";

    private const string ConfigFile = "config.json", CardFile = "README.md";

    private static readonly string[] LayerKeys = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];

    private static readonly string[] Copied =
    [
        "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
        "chat_template.jinja", "chat_template.json", "preprocessor_config.json", "processor_config.json",
        "video_preprocessor_config.json",
    ];

    /// <summary>Every name that a merge may write besides shards and index.</summary>
    public static IEnumerable<string> Names => [ConfigFile, CardFile, RecipeFile, .. Copied];

    /// <summary>The files of a plan's output, by name.</summary>
    public static IReadOnlyList<(string Name, byte[] Bytes)> Of(MergePlan plan)
    {
        var files = new List<(string, byte[])>();
        if (plan.Donor.Input.Folder is { } folder)
        {
            if (Read(folder, ConfigFile) is { } config)
                files.Add((ConfigFile, EditConfig(config, Path.Combine(folder, ConfigFile), plan)));
            foreach (string name in Copied)
            {
                if (Read(folder, name) is { } bytes)
                    files.Add((name, bytes));
            }
        }

        files.Add((RecipeFile, Encoding.UTF8.GetBytes(plan.Recipe.ToYaml())));
        files.Add((CardFile, Encoding.UTF8.GetBytes(Card(plan))));
        return files;
    }

    private static byte[]? Read(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    private static byte[] EditConfig(byte[] text, string path, MergePlan plan)
    {
        JsonObject config;
        try
        {
            config = JsonNode.Parse(text)?.AsObject() ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new MergeException(MergeError.Models, $"{path}: no JSON object");
        }

        if (plan.NamedDtype is { } dtype)
            config[config.ContainsKey("dtype") ? "dtype" : "torch_dtype"] = Elements.NameOf(dtype);
        if (plan.Vocabulary is { } rows && config.ContainsKey("vocab_size"))
            config["vocab_size"] = rows;
        if (plan.SlicedLayers is { } layers && LayerKeys.FirstOrDefault(config.ContainsKey) is { } key)
            config[key] = layers;
        if (plan.UntiedHead && config.ContainsKey("tie_word_embeddings"))
            config["tie_word_embeddings"] = false;
        return Encoding.UTF8.GetBytes(config.ToJsonString(new JsonSerializerOptions
        {
            WriteIndented = true,
            Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        }) + "\n");
    }

    private static string Card(MergePlan plan)
    {
        var models = plan.Models.Concat(plan.Base is null ? [] : [plan.Base]).Distinct().ToArray();
        var card = new StringBuilder();
        card.Append("---\nbase_model:\n");
        foreach (var model in models)
            card.Append("- ").Append(YamlText.Quote(model.Path)).Append('\n');
        card.Append("tags:\n- merge\n- fusionkernels\n---\n\n# Merged model\n\n");
        card.Append("Merged by FusionKernels with the method **").Append(plan.Method.Name).Append("**: ").Append(plan.Method.Summary).Append(".\n\n");
        if (plan.Base is not null)
            card.Append("Base: `").Append(plan.Base.Path).Append("`\n\n");
        card.Append("Models:\n\n");
        foreach (var model in plan.Models)
            card.Append("* `").Append(model.Path).Append("`\n");
        card.Append("\nRecipe:\n\n```yaml\n").Append(plan.Recipe.ToYaml().TrimEnd()).Append("\n```\n");
        return card.ToString();
    }
}
