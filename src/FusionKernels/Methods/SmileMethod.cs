using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Planning;
using FusionKernels.Smile;

namespace FusionKernels.Methods;

/// <summary>
/// SMILE (Tang et al. 2024, "SMILE: Zero-Shot Sparse Mixture of Low-Rank Experts Construction From Pre-Trained
/// Foundation Models"): every linear layer of the base gets an expert for each model, the leading singular triplets of
/// the model's change, and a router made of their right vectors; nothing is trained. All other tensors are the base's,
/// or averages.
/// <para>Layout <c>causal_lm</c>: the seven linear layers of a Llama, Mistral or Qwen2 decoder, as FusionBench's
/// SmileLlamaForCausalLM and its like read them; ranks are the same everywhere. Layout <c>module</c>: every linear
/// layer of any model, as FusionBench's SmileMoELinear names its parts; ranks may differ. <see cref="SmileModel"/>
/// opens both, and its <see cref="SmileModel.Open"/> says the names. Layers that stay plain are listed in the metadata
/// <c>smile_plain_layers</c> of the shards, with commas between them.</para>
/// </summary>
public sealed class SmileMethod : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => "smile";

    /// <inheritdoc/>
    public override string Summary => "low-rank experts for linear layers, routed without training (Tang et al. 2024)";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override VocabularyRule Vocabulary => VocabularyRule.BaseRows;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("gate_k", ParameterScope.Global, 8, "the router's rows per expert (rank_of_router)", Least: 1),
        new("k", ParameterScope.Global, 64, "an expert's rank (rank_of_expert); 0 or -1: its whole delta", Least: -1),
        new("energy", ParameterScope.Global, 1, "the least rank up to k with this share of the energy", Least: 0.01),
        new("top_k", ParameterScope.Global, 1, "experts per token (num_experts_per_tok)", Least: 1),
        Choice("layout", "FusionBench's names of causal language models, or of modules", "auto", "causal_lm", "module"),
        new("routing_use_diff", ParameterScope.Global, 1, "route by the experts' deltas; off: by their weights"),
        new("average_experts", ParameterScope.Global, 0, "average what is not upscaled over the experts"),
        Choice("gate", "the router's rows: a tensor, or the experts' first (layout module)", "stored", "shared"),
        new("upscale", ParameterScope.Global, null, "whether a layer is upscaled; by default its name decides"),
        Choice("untrained", "layers that no expert changed: plain, or with experts of zeros", "plain", "zeros"),
        Choice("svd", "singular vectors by well iterated sketches, or exact ones by Grams", "sketch", "exact"),
    ];

    private static Parameter Choice(string name, string meaning, params string[] words) =>
        new(name, ParameterScope.Global, null, meaning, Words: words);

    /// <inheritdoc/>
    internal override bool TakesWithoutBase(string name) => SmileUpscaling.IsBias(name);

    /// <inheritdoc/>
    internal override MergeDraft Arrange(MergeDraft draft) => SmileUpscaling.Arrange(draft);

    /// <summary>What is neither a copy nor a factor: an expert's difference from the base, or an average.</summary>
    internal override void MergeTensor(TensorMerge tensor)
    {
        var sources = tensor.Models.Select(m => new MergeSource(m.Input)).ToArray();
        if (tensor.Base is { } basis)
            tensor.Combine(new WeightedSum(1), [.. sources, new MergeSource(basis) { Weight = -1 }]);
        else
            tensor.Combine(new WeightedSum(sources.Length), sources);
    }
}
