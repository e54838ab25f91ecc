using System.Text;
using System.Text.Json.Nodes;
using FusionKernels.Models.Lora;
using FusionKernels.Recipes;
using FusionKernels.Tokenizers;

namespace FusionKernels.Adapters;

/// <summary>The small files beside an adapter's weights: PEFT's configuration, and a model card.</summary>
internal static class AdapterFiles
{
    private const string CardFile = "README.md", BiasSuffix = ".lora_B.bias";

    /// <summary>
    /// The files by name; the configuration, without which PEFT takes no folder for an adapter, is last.
    /// </summary>
    public static IReadOnlyList<(string Name, byte[] Bytes)> Of(
        AdapterPlan plan, IReadOnlyList<AdapterModuleReport> modules) =>
        [(CardFile, Card(plan)), (LoraConfig.FileName, JsonFile.Write(Config(plan, modules)))];

    // The factors hold their scale, so alpha is the rank everywhere.
    private static JsonObject Config(AdapterPlan plan, IReadOnlyList<AdapterModuleReport> modules)
    {
        int rank = modules.Select(m => m.Rank).DefaultIfEmpty(1).Max();
        string[] others = [.. plan.Others.Select(o => o.Spec.Name[LoraAdapter.Prefix.Length..])];
        string[] biased = [.. others.Where(IsBias).Select(o => o[..^BiasSuffix.Length])];
        var targets = modules.Select(m => m.Name).Concat(biased).ToHashSet();
        string[] saved = [.. others.Where(o => !IsBias(o)).Select(o => Last(Parent(o))).Distinct()];
        return new JsonObject
        {
            ["base_model_name_or_path"] = plan.BaseModel,
            ["peft_type"] = "LORA",
            ["task_type"] = plan.TaskType,
            ["inference_mode"] = true,
            ["r"] = rank,
            ["lora_alpha"] = rank,
            ["rank_pattern"] = Others(),
            ["alpha_pattern"] = Others(),
            ["target_modules"] = Names(targets.Select(t => plan.IsTarget(Last(t), targets) ? Last(t) : t).Distinct()),
            ["modules_to_save"] = saved.Length == 0 ? null : Names(saved),
            ["lora_dropout"] = 0.0,
            ["bias"] = "none",
            ["lora_bias"] = biased.Length > 0,
            ["fan_in_fan_out"] = plan.FanInFanOut,
            ["use_rslora"] = false,
            ["use_dora"] = false,
        };

        JsonObject Others() => new(modules.Where(m => m.Rank != rank)
            .Select(m => KeyValuePair.Create(m.Name, (JsonNode?)JsonValue.Create(m.Rank))));

        static JsonArray Names(IEnumerable<string> names) => [.. names.Select(name => JsonValue.Create(name))];

        static bool IsBias(string name) => name.EndsWith(BiasSuffix, StringComparison.Ordinal);

        static string Parent(string name) => name[..Math.Max(0, name.LastIndexOf('.'))];
    }

    /// <summary>The last part of a module's name.</summary>
    public static string Last(string module) => module[(module.LastIndexOf('.') + 1)..];

    private static byte[] Card(AdapterPlan plan)
    {
        var card = new StringBuilder("---\n");
        if (plan.BaseModel is not null)
            card.Append("base_model: ").Append(YamlText.Quote(plan.BaseModel)).Append('\n');
        card.Append("library_name: peft\ntags:\n- lora\n- fusionkernels\n---\n\n# Adapter\n\n");
        card.Append(plan.Summary).Append("\n\n```yaml\n").Append(plan.Record.Recipe).Append("```\n");
        return Encoding.UTF8.GetBytes(card.ToString());
    }
}
