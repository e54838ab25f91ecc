using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Safetensors;

namespace FusionKernels.Planning;

/// <summary>
/// The output's config.json: the donor's, but for what the tensors written, or their class, contradict.
/// </summary>
internal sealed class OutputConfig
{
    private const string Quantization = "quantization_config";
    private static readonly string[] DtypeKeys = ["dtype", "torch_dtype"];
    private readonly MergePlan _plan;
    private readonly List<string> _warnings = [];

    /// <summary>Edits the config of a plan's donor.</summary>
    /// <exception cref="MergeException">It is no JSON object.</exception>
    public OutputConfig(MergePlan plan)
    {
        _plan = plan;
        Json = ModelConfig.Read(plan.Donor.Input) ?? (plan.ClassSettings.Count > 0 ? [] : null);
        if (Json is not null)
            Edit(Json);
        WarnOfScales();
    }

    /// <summary>What it says; <c>null</c> where the donor has none.</summary>
    public JsonObject? Json { get; }

    /// <summary>What of it a careful user should know.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    private void Warn(string message) => _warnings.Add($"{ModelConfig.FileName}: {message}");

    // Ids of special tokens are the tokenizer's.
    private void Edit(JsonObject config)
    {
        if (DtypeOf(_plan) is { } dtype)
            SetDtype(config, Elements.NameOf(dtype));
        if (_plan.SlicedLayers is { } layers)
            SetLayers(config, layers);
        foreach (JsonObject part in ModelConfig.Parts(config))
        {
            if (_plan.Vocabulary is { } rows && part.ContainsKey("vocab_size"))
                part["vocab_size"] = rows;
            if (part["tie_word_embeddings"]?.GetValueKind() == JsonValueKind.True && _plan.UntiedHead)
                part["tie_word_embeddings"] = false;
        }

        if (_plan.Tokenizer is { } tokenizer && ModelConfig.Read(tokenizer.Donor) is { } other)
        {
            foreach (var (name, id) in other.Where(p => p.Key.EndsWith("_token_id", StringComparison.Ordinal)))
                config[name] = id?.DeepClone();
        }

        DropQuantization(config);
        foreach (var (name, value) in _plan.ClassSettings)
            config[name] = value?.DeepClone();
    }

    // A list with an entry a layer is made of the entries of those layers that the output's are.
    private void SetLayers(JsonObject config, IReadOnlyList<IReadOnlyList<SourceLayer>> layers)
    {
        var configs = layers.SelectMany(sources => sources).Select(s => s.Model).Distinct()
            .ToDictionary(model => model, model => ModelConfig.Read(model.Input));
        foreach (var (part, key, count) in ModelConfig.Stacks(config).ToArray())
        {
            string[] names = [.. ModelConfig.ListsOverLayers(part, count).Select(l => l.Key)];
            foreach (string name in names)
                SetList(part, name, layers, configs.ToDictionary(c => c.Key, c => ListOf(c.Value, name)));
            bool moved = layers.Count != count || layers.Where((sources, i) => sources.Any(s => s.Layer != i)).Any();
            foreach (string name in moved ? ModelConfig.ListsOfLayers(part, count) : [])
                Warn($"'{name}' gives numbers of layers, and still those of {_plan.Donor.Path}");
            part[key] = layers.Count;
        }

        static JsonArray? ListOf(JsonObject? config, string name) => config is null ? null
            : ModelConfig.Stacks(config).SelectMany(s => ModelConfig.ListsOverLayers(s.Part, s.Layers))
                .FirstOrDefault(l => l.Key == name).Value;
    }

    private void SetList(
        JsonObject part,
        string name,
        IReadOnlyList<IReadOnlyList<SourceLayer>> layers,
        Dictionary<PlannedModel, JsonArray?> lists)
    {
        var all = layers.SelectMany(sources => sources);
        if (all.FirstOrDefault(s => s.Layer >= (lists[s.Model]?.Count ?? 0)) is { } gap)
        {
            Warn(
                $"'{name}' is still that of {_plan.Donor.Path}, not of the {layers.Count} layers written: "
                + $"{gap.Model.Path} has no such list");
            return;
        }

        var entries = layers.Select(sources => sources.Select(s => lists[s.Model]![s.Layer]).ToArray()).ToArray();
        int odd = Array.FindIndex(entries, e => !e.All(other => JsonNode.DeepEquals(e[0], other)));
        if (odd >= 0)
        {
            string found = string.Join(" and ", entries[odd].Select(e => e?.ToJsonString() ?? "null").Distinct());
            Warn($"'{name}' of layer {odd} is {found} in what it is merged from; the first stands");
        }

        part[name] = new JsonArray([.. entries.Select(e => e[0]?.DeepClone())]);
    }

    // Loaders would look for packed numbers or scales where plain ones stand.
    private void DropQuantization(JsonObject config)
    {
        if (_plan.Tensors.Values.Any(t => IsPacked(t.Spec.Dtype, t.Spec.Shape)))
            return;
        foreach (var part in ModelConfig.Parts(config).Where(part => part.ContainsKey(Quantization)).ToArray())
        {
            part.Remove(Quantization);
            Warn($"'{Quantization}' is left out, because no tensor written is quantized");
        }
    }

    // Scales stand in tensors of their own; a merge knows nothing of them.
    private void WarnOfScales()
    {
        string[] unscaled = [.. _plan.Tensors.Values.Where(t => t.Inputs.Any(i => IsPacked(i.Dtype, i.Shape)
            && (t.Inputs.Skip(1).Any() || t.Spec.Dtype != i.Dtype))).Select(t => t.Spec.Name)];
        var models = _plan.Models.Append(_plan.Donor).Where(m => ModelConfig.Read(m.Input) is { } config
            && ModelConfig.Parts(config).Any(part => part.ContainsKey(Quantization)));
        if (unscaled.Length > 0 && models.FirstOrDefault() is { } model)
        {
            _warnings.Add(
                $"{model.Path}: is quantized; {unscaled.Length} tensor(s) ({unscaled[0]}, ...) are merged as they are "
                + "stored, without their scales");
        }
    }

    private static bool IsPacked(Dtype dtype, IReadOnlyList<long> shape) =>
        shape.Count >= 2 && (dtype.Bits() <= 8 || dtype == Dtype.I32);

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
