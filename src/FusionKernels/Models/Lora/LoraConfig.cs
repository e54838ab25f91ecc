using System.Text.Json;
using System.Text.RegularExpressions;

namespace FusionKernels.Models.Lora;

/// <summary>What PEFT's <c>adapter_config.json</c> says about how an adapter's tensors change a model.</summary>
internal sealed class LoraConfig
{
    /// <summary>Name of the file in an adapter's folder.</summary>
    public const string FileName = "adapter_config.json";

    // Settings under which W + sBA is not what the adapter means. Other settings only say how it was trained.
    private static readonly string[] Unsupported =
    [
        "layer_replication", "target_parameters", "trainable_token_indices", "alora_invocation_tokens", "arrow_config",
        "use_qalora", "use_bdlora", "megatron_config",
    ];

    // The other ways to begin (pissa, olora, loftq, corda, ...) change the base model as well, which the adapter's file
    // does not hold.
    private static readonly string[] InitsThatKeepTheBase = ["True", "False", "gaussian", "orthogonal", "eva"];

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly string _path;
    private readonly JsonElement _json;
    private readonly (Regex Pattern, double Value)[] _ranks;
    private readonly (Regex Pattern, double Value)[] _alphas;

    private LoraConfig(byte[] text, string path)
    {
        (_path, Text) = (path, text);
        _json = JsonDocument.Parse(text, Strict).RootElement;
        if (_json.ValueKind != JsonValueKind.Object)
            throw Error("is not a JSON object");
        string type = Find("peft_type")?.ToString() ?? "nothing";
        if (type != "LORA")
            throw Error($"'peft_type' is {type}; only LORA can be applied");
        if (Unsupported.FirstOrDefault(key => Find(key) is { } value && IsSet(value)) is { } unsupported)
            throw Error($"'{unsupported}' is not supported");
        if (Find("init_lora_weights") is { } init && !InitsThatKeepTheBase.Contains(init.ToString()))
            throw Error($"'init_lora_weights: {init}' changes the base model too, and the adapter fits only that one");
        _ranks = Patterns("rank_pattern");
        _alphas = Patterns("alpha_pattern");
    }

    /// <summary>The file's bytes.</summary>
    public byte[] Text { get; }

    /// <summary>Whether the weights of linear layers are stored as [in, out].</summary>
    public bool FanInFanOut => Flag("fan_in_fan_out");

    /// <summary>Whether rows are scaled to learned magnitudes (DoRA).</summary>
    public bool UsesDora => Flag("use_dora");

    /// <summary>The names of modules under <c>target_modules</c>; none where that is a pattern.</summary>
    public IReadOnlyList<string> Targets => Find("target_modules") is { ValueKind: JsonValueKind.Array } names
        ? [.. names.EnumerateArray().Select(name => name.ToString())] : [];

    /// <summary>The value of a key that holds a word; <c>null</c> where there is none.</summary>
    public string? Word(string key) => Find(key) is { ValueKind: JsonValueKind.String } word ? word.GetString() : null;

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="MergeException">It is no LoRA, or one that W + sBA does not describe.</exception>
    public static LoraConfig Parse(byte[] text, string path)
    {
        try
        {
            return new LoraConfig(text, path);
        }
        catch (JsonException e)
        {
            throw new MergeException(
                MergeError.Models, $"{path}: is not valid JSON: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>The rank of a module, such as <c>model.layers.0.self_attn.q_proj</c>.</summary>
    public double Rank(string module) => Of(_ranks, module) ?? Number("r");

    /// <summary>The factor s on BA: alpha / rank, or alpha / sqrt(rank) for a rank-stabilised LoRA.</summary>
    public double Scale(string module) =>
        (Of(_alphas, module) ?? Number("lora_alpha")) / (Flag("use_rslora") ? Math.Sqrt(Rank(module)) : Rank(module));

    // As PEFT matches: the whole name or its end after a dot; the first pattern that does wins.
    private static double? Of((Regex Pattern, double Value)[] patterns, string module) =>
        patterns.Where(p => p.Pattern.IsMatch(module)).Select(p => (double?)p.Value).FirstOrDefault();

    private (Regex Pattern, double Value)[] Patterns(string key)
    {
        if (Find(key) is not { } map)
            return [];
        if (map.ValueKind != JsonValueKind.Object)
            throw Error($"'{key}' is not a map from patterns to numbers");
        return map.EnumerateObject().Select(p => (Compile(key, p.Name), Number(p.Value, key))).ToArray();
    }

    // Without backtracking, so that no pattern can take more than linear time.
    private Regex Compile(string key, string pattern)
    {
        try
        {
            return new Regex(
                $@"\A(?:.*\.)?(?:{pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw Error($"'{key}': '{pattern}' is no regular expression that can be matched");
        }
    }

    private double Number(string key) => Number(Find(key) ?? throw Error($"'{key}' is missing"), key);

    private double Number(JsonElement value, string key) =>
        value.ValueKind == JsonValueKind.Number && value.GetDouble() is >= 0 and var number
            ? number
            : throw Error($"'{key}' is not a number of at least 0");

    private bool Flag(string key) => Find(key) switch
    {
        null or { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.True } => true,
        _ => throw Error($"'{key}' is not true or false"),
    };

    private JsonElement? Find(string key) =>
        _json.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static bool IsSet(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False => false,
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.Object => value.EnumerateObject().Any(),
        _ => true,
    };

    private MergeException Error(string message) => new(MergeError.Models, $"{_path}: {message}");
}
