using System.Globalization;
using System.Text;

namespace FusionKernels.Recipes;

/// <summary>
/// A mixture of experts to put together from dense models, as mergekit-moe's YAML says it. The experts' MLPs become the
/// output's experts, all other tensors are the base's, the gates are random and want training.
/// </summary>
/// <param name="BaseModel">Path of the model that gives everything but the experts.</param>
/// <param name="Experts">The experts in order.</param>
public sealed record MoeRecipe(string BaseModel, IReadOnlyList<MoeExpert> Experts)
{
    /// <summary>Experts that every token goes through, besides those that its gate chooses.</summary>
    public IReadOnlyList<MoeExpert> SharedExperts { get; init; } = [];

    /// <summary>Where the gates come from.</summary>
    public GateMode GateMode { get; init; }

    /// <summary>Experts that a token's gate chooses.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>The output's class, or <c>null</c> for the first that fits the models.</summary>
    public MoeArchitecture? Architecture { get; init; }

    /// <summary>Dtype of the output as a recipe names it, or <c>null</c> for the models' own.</summary>
    public string? Dtype { get; init; }

    /// <summary>The recipe as YAML.</summary>
    public string ToYaml()
    {
        var yaml = new StringBuilder();
        yaml.Append("base_model: ").Append(YamlText.Quote(BaseModel)).Append('\n');
        yaml.Append("gate_mode: ").Append(GateMode == GateMode.Random ? "random" : "uniform_random").Append('\n');
        yaml.Append(CultureInfo.InvariantCulture, $"experts_per_token: {ExpertsPerToken}\n");
        if (Architecture is { } architecture)
            yaml.Append("architecture: ").Append(architecture.ToString().ToLowerInvariant()).Append('\n');
        if (Dtype is not null)
            yaml.Append("dtype: ").Append(YamlText.Quote(Dtype)).Append('\n');
        Append("experts", Experts);
        Append("shared_experts", SharedExperts);
        return yaml.ToString();

        void Append(string list, IReadOnlyList<MoeExpert> experts)
        {
            if (experts.Count > 0)
                yaml.Append(list).Append(":\n");
            foreach (var expert in experts)
            {
                yaml.Append("  - source_model: ").Append(YamlText.Quote(expert.SourceModel)).Append('\n');

                // Which prompts they are decides nothing: the gates are random.
                if (expert.HasPrompts)
                    yaml.Append("    positive_prompts: [\"\"]\n");
                if (expert.NoiseScale != 0)
                    yaml.Append(CultureInfo.InvariantCulture, $"    noise_scale: {expert.NoiseScale:R}\n");
                if (expert.ResidualScale != 1)
                    yaml.Append(CultureInfo.InvariantCulture, $"    residual_scale: {expert.ResidualScale:R}\n");
            }
        }
    }
}

/// <summary>One expert.</summary>
/// <param name="SourceModel">Path of the dense model whose MLPs it takes.</param>
public sealed record MoeExpert(string SourceModel)
{
    /// <summary>Deviation of the normal noise that is added to every element of its MLPs.</summary>
    public double NoiseScale { get; init; }

    /// <summary>Factor on its down projections, and so on all that it adds to a token.</summary>
    public double ResidualScale { get; init; } = 1;

    /// <summary>Whether prompts are given, which ask for a gate of a shared expert.</summary>
    public bool HasPrompts { get; init; }
}

/// <summary>Where the gates of a mixture come from.</summary>
public enum GateMode
{
    /// <summary>Standard normal draws.</summary>
    Random,

    /// <summary>Uniform between -1/sqrt(hidden) and 1/sqrt(hidden), as torch initialises a linear layer.</summary>
    UniformRandom,
}

/// <summary>The class of a mixture's output.</summary>
public enum MoeArchitecture
{
    /// <summary>Mixtral: experts fused in one tensor, none shared. Llama or Mistral models.</summary>
    Mixtral,

    /// <summary>Qwen3-MoE: as Mixtral, of Qwen3 models.</summary>
    Qwen3,

    /// <summary>DeepSeek-MoE: at most one shared expert, without a gate. Llama or Mistral models.</summary>
    DeepSeek,

    /// <summary>Qwen2-MoE: exactly one shared expert, with a gate. Llama, Mistral or Qwen2 models.</summary>
    Qwen2,
}
