using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Planning;

/// <summary>The output's config.json: the donor's, but for what the tensors written, or their class, contradict.</summary>
internal sealed class OutputConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    private static readonly string[] DtypeKeys = ["dtype", "torch_dtype"];
    private static readonly string[] LayerKeys = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];

    /// <summary>Edits the config of a plan's donor.</summary>
    /// <exception cref="MergeException">It is no JSON object.</exception>
    public OutputConfig(MergePlan plan)
    {
        Json = JsonFile.Read(plan.Donor.Input, FileName) ?? (plan.ClassSettings.Count > 0 ? [] : null);
        if (Json is not null)
            Edit(Json, plan);
    }

    /// <summary>What it says; <c>null</c> where the donor has none.</summary>
    public JsonObject? Json { get; }

    // Ids of special tokens are the tokenizer's.
    private static void Edit(JsonObject config, MergePlan plan)
    {
        if (DtypeOf(plan) is { } dtype)
            SetDtype(config, Elements.NameOf(dtype));
        if (plan.Vocabulary is { } rows && config.ContainsKey("vocab_size"))
            config["vocab_size"] = rows;
        if (plan.SlicedLayers is { } layers && LayerKeys.FirstOrDefault(config.ContainsKey) is { } key)
            config[key] = layers;
        if (config["tie_word_embeddings"]?.GetValueKind() == JsonValueKind.True && plan.UntiedHead)
            config["tie_word_embeddings"] = false;
        if (plan.Tokenizer is { } tokenizer && JsonFile.Read(tokenizer.Donor, FileName) is { } other)
        {
            foreach (var (name, id) in other.Where(p => p.Key.EndsWith("_token_id", StringComparison.Ordinal)))
                config[name] = id?.DeepClone();
        }

        foreach (var (name, value) in plan.ClassSettings)
            config[name] = value?.DeepClone();
    }

    // The recipe's, else that of most elements where the donor has another one; a donor knows best what its own is.
    private static Dtype? DtypeOf(MergePlan plan)
    {
        Dtype? output = Usual(plan.Tensors.Values.Select(t => (t.Spec.Dtype, t.Length)));
        Dtype? donor = Usual(plan.Donor.Input.Tensors.Select(t => (t.Dtype, t.ElementCount)));
        return plan.NamedDtype ?? (output == donor ? null : output);

        static Dtype? Usual(IEnumerable<(Dtype Dtype, long Elements)> tensors) => tensors
            .Where(t => Elements.Of(t.Dtype) is not null).GroupBy(t => t.Dtype)
            .MaxBy(g => g.Sum(t => t.Elements))?.Key;
    }

    // Parts (text_config and the like) may name a dtype of their own.
    private static void SetDtype(JsonObject config, string name)
    {
        if (!DtypeKeys.Any(config.ContainsKey))
            config["torch_dtype"] = name;
        var parts = config.Select(p => p.Value).OfType<JsonObject>().Prepend(config).ToArray();
        foreach (var (part, key) in parts.SelectMany(part => DtypeKeys.Where(part.ContainsKey).Select(k => (part, k))))
            part[key] = name;
    }
}
