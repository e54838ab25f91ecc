using System.Text.Json.Nodes;
using FusionKernels.Recipes;

namespace FusionKernels.Moe;

/// <summary>How an output class names and stores a mixture.</summary>
internal sealed record MoeLayout
{
    private static readonly string[] Llama = ["llama"], Mistral = ["mistral"], Qwen3 = ["qwen3"];
    private static readonly string[] LlamaLike = ["llama", "mistral"], Qwen2Like = ["llama", "mistral", "qwen2"];
    private static readonly string[] Attention = ["q_proj", "k_proj", "v_proj"];

    /// <summary>The class.</summary>
    public required MoeArchitecture Architecture { get; init; }

    /// <summary>Sets of <c>model_type</c>; all models must be of one of the sets.</summary>
    public required IReadOnlyList<string[]> Families { get; init; }

    /// <summary>Whether the number of shared experts will do.</summary>
    public required Func<int, bool> CanShare { get; init; }

    /// <summary>Whether all experts of a layer are one tensor, with gate and up projections fused.</summary>
    public bool Fused { get; init; }

    /// <summary>Where a shared expert's tensors are in a layer.</summary>
    public string SharedPrefix { get; init; } = "";

    /// <summary>Whether a shared expert has a gate.</summary>
    public bool GatesShared { get; init; }

    /// <summary>Biases that the class always has, by their weights' last names.</summary>
    public IReadOnlyList<string> Biased { get; init; } = [];

    /// <summary>The classes, the preferred first.</summary>
    private static readonly MoeLayout[] All =
    [
        new()
        {
            Architecture = MoeArchitecture.Mixtral, Families = [Llama, Mistral], CanShare = n => n == 0, Fused = true,
        },
        new() { Architecture = MoeArchitecture.Qwen3, Families = [Qwen3], CanShare = n => n == 0, Fused = true },
        new()
        {
            Architecture = MoeArchitecture.DeepSeek, Families = [LlamaLike], CanShare = n => n <= 1,
            SharedPrefix = "mlp.shared_experts",
        },
        new()
        {
            Architecture = MoeArchitecture.Qwen2, Families = [Qwen2Like], CanShare = n => n == 1,
            SharedPrefix = "mlp.shared_expert", GatesShared = true, Biased = Attention,
        },
    ];

    /// <summary>The layout of a recipe.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="types">The models' <c>model_type</c>s.</param>
    /// <exception cref="MergeException">The models fit the class that is asked for, or any, not.</exception>
    public static MoeLayout Choose(MoeRecipe recipe, IReadOnlyCollection<string> types)
    {
        // A shared expert with prompts asks for a gate of its own.
        int shared = recipe.SharedExperts.Count;
        bool gated = recipe.SharedExperts.Any(e => e.HasPrompts);
        var fitting = All.Where(l => l.CanShare(shared) && l.Families.Any(f => types.All(f.Contains))).ToArray();
        var layout = recipe.Architecture is { } named ? fitting.FirstOrDefault(l => l.Architecture == named)
            : fitting.FirstOrDefault(l => !gated || l.GatesShared);
        string refusal = recipe.Architecture is null ? "no class of mixtures takes"
            : $"'architecture: {recipe.Architecture}' does not take";
        string asked = $"{shared} {(gated ? "gated " : "")}shared experts";
        return layout ?? throw new MergeException(
            MergeError.Models, $"{refusal} {asked} and models of type {string.Join(", ", types.Distinct())}");
    }

    /// <summary>The keys of config.json that make the base's config the mixture's.</summary>
    public JsonObject Settings(MoeRecipe recipe, JsonObject config)
    {
        int experts = recipe.Experts.Count, perToken = recipe.ExpertsPerToken;
        JsonNode? Width() => config["intermediate_size"]?.DeepClone();
        switch (Architecture)
        {
            case MoeArchitecture.Mixtral:
                return new JsonObject
                {
                    ["architectures"] = new JsonArray("MixtralForCausalLM"),
                    ["model_type"] = "mixtral",
                    ["num_local_experts"] = experts,
                    ["num_experts_per_tok"] = perToken,
                    ["sliding_window"] = null,
                };
            case MoeArchitecture.DeepSeek:
                const string Code = "deepseek-ai/deepseek-moe-16b-base";
                return new JsonObject
                {
                    ["architectures"] = new JsonArray("DeepseekForCausalLM"),
                    ["model_type"] = "deepseek",
                    ["n_routed_experts"] = experts,
                    ["num_experts_per_tok"] = perToken,
                    ["n_shared_experts"] = recipe.SharedExperts.Count == 0 ? null : recipe.SharedExperts.Count,
                    ["first_k_dense_replace"] = 0,
                    ["moe_layer_freq"] = 1,
                    ["scoring_func"] = "softmax",
                    ["norm_topk_prob"] = true,
                    ["moe_intermediate_size"] = Width(),
                    ["auto_map"] = new JsonObject
                    {
                        ["AutoConfig"] = Code + "--configuration_deepseek.DeepseekConfig",
                        ["AutoModel"] = Code + "--modeling_deepseek.DeepseekModel",
                        ["AutoModelForCausalLM"] = Code + "--modeling_deepseek.DeepseekForCausalLM",
                    },
                };
            case var qwen:
                int version = qwen == MoeArchitecture.Qwen3 ? 3 : 2;
                var settings = new JsonObject
                {
                    ["architectures"] = new JsonArray($"Qwen{version}MoeForCausalLM"),
                    ["model_type"] = $"qwen{version}_moe",
                    ["num_experts"] = experts,
                    ["num_experts_per_tok"] = perToken,
                    ["decoder_sparse_step"] = 1,
                    ["norm_topk_prob"] = true,
                    ["mlp_only_layers"] = new JsonArray(),
                    ["moe_intermediate_size"] = Width(),
                };
                if (version == 2)
                {
                    settings["shared_expert_intermediate_size"] = Width();
                    settings["use_sliding_window"] = false;
                }

                return settings;
        }
    }
}
