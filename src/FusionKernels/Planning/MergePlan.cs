using System.Text.Json.Nodes;
using FusionKernels.Execution;
using FusionKernels.Methods;
using FusionKernels.Models;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Planning;

/// <summary>
/// Everything a merge will do, known before any arithmetic: each output tensor with its inputs and parameters, and the place
/// of every byte in the output's shards.
/// </summary>
internal sealed class MergePlan
{
    /// <summary>The recipe.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>The method.</summary>
    public required MergeMethod Method { get; init; }

    /// <summary>The base, or <c>null</c>.</summary>
    public required PlannedModel? Base { get; init; }

    /// <summary>The models that are merged, in the order the recipe first names them, without the base.</summary>
    public required IReadOnlyList<PlannedModel> Models { get; init; }

    /// <summary>The model whose config and tokenizer the output takes over: the base, else the first model.</summary>
    public PlannedModel Donor => Base ?? Models[0];

    /// <summary>Every input shard.</summary>
    public IEnumerable<ShardFile> InputShards => Inputs.SelectMany(m => m.Shards).Distinct();

    /// <summary>Every small file that decides the inputs' tensors besides the shards.</summary>
    public IEnumerable<(string Path, byte[] Text)> InputSettings => Inputs.SelectMany(m => m.Settings);

    /// <summary>The merges that compute its inputs, each after those that compute its own.</summary>
    public IReadOnlyList<MergePlan> Steps => Tensors.Values
        .SelectMany(t => MergedTensor.Among(t.Inputs)).Select(t => t.Merge).Distinct()
        .SelectMany(m => m.Steps.Append(m)).Distinct().ToArray();

    /// <summary>The output tensors by name.</summary>
    public required IReadOnlyDictionary<string, PlannedTensor> Tensors { get; init; }

    /// <summary>Where they lie.</summary>
    public required OutputLayout Layout { get; init; }

    /// <summary>The output dtype that the recipe names, or <c>null</c>.</summary>
    public required Dtype? NamedDtype { get; init; }

    /// <summary>The output's tokenizer; <c>null</c> for the donor's files as they are.</summary>
    public required OutputTokenizer? Tokenizer { get; init; }

    /// <summary>The output's chat template; <c>null</c> for the tokenizer's own.</summary>
    public required string? ChatTemplate { get; init; }

    /// <summary>Rows of the output's embedding where the donor's has others, or <c>null</c>.</summary>
    public long? Vocabulary => Tensors.Values
        .Where(t => TensorNames.IsEmbedding(t.Spec.Name) && t.Spec.Shape.Count == 2)
        .Where(t => Donor.Input.TryGet(t.Spec.Name, out var own) && own.Shape[0] != t.Spec.Shape[0])
        .Select(t => (long?)t.Spec.Shape[0]).FirstOrDefault();

    /// <summary>
    /// Whether the output has a head that is not its embedding once more: some model's stored head differs from its
    /// embedding.
    /// </summary>
    public bool UntiedHead => Tensors.Keys.Any(
        head => TensorNames.TiedTo(head).Where(Tensors.ContainsKey).Any(embedding =>
            Models.Append(Donor).Any(model => model.Input.TryGet(head, out var own)
                && (!model.Input.TryGet(embedding, out var tied) || Differ(own, tied)))));

    // What a step merges is not there to be looked at; its heads were decided upon with its own models.
    private static bool Differ(ModelTensor head, ModelTensor embedding) =>
        MergedTensor.Among([head, embedding]).FirstOrDefault() is { } merged ? merged.Merge.UntiedHead
        : !TensorBytes.Equal(head, embedding);

    /// <summary>Keys of config.json that say what class the output is; empty for the donor's.</summary>
    public JsonObject ClassSettings { get; init; } = [];

    /// <summary>The output's config.json.</summary>
    /// <exception cref="MergeException">The donor's is no JSON object.</exception>
    public OutputConfig Config => field ??= new OutputConfig(this);

    /// <summary>
    /// For each layer of the output, the layers that it is merged from when slices decide them, or <c>null</c>.
    /// </summary>
    public required IReadOnlyList<IReadOnlyList<SourceLayer>>? SlicedLayers { get; init; }

    /// <summary>What a careful user should know, of the output's config too.</summary>
    public required IReadOnlyList<string> Warnings { get => [.. field, .. Config.Warnings]; init; }

    private IEnumerable<Model> Inputs => Models.Concat(Base is null ? [] : [Base]).Select(m => m.Input);
}

/// <summary>A model of the plan.</summary>
/// <param name="Path">As the recipe writes it.</param>
/// <param name="Input">Its tensors.</param>
/// <param name="Ordinal">Place among the merged models, which random masks depend on; -1 for a base.</param>
internal sealed record PlannedModel(string Path, Model Input, int Ordinal);

/// <summary>One output tensor.</summary>
internal sealed class PlannedTensor
{
    private long? _intermediateBytes;

    /// <summary>Name and place of the output, and its storage dtype.</summary>
    public required TensorSpec Spec { get; init; }

    /// <summary>The base's tensor, for methods that need one.</summary>
    public required ModelTensor? Base { get; init; }

    /// <summary>The models' tensors; rows beyond the output's shape are not read.</summary>
    public required IReadOnlyList<PlannedSource> Sources { get; init; }

    /// <summary>Whether the tensor is copied from its only source: it is no floating-point data, or nothing is merged into the base.</summary>
    public required bool IsCopy { get; init; }

    /// <summary>The values of the method's global parameters for this tensor.</summary>
    public required IReadOnlyDictionary<string, ParameterValue> Parameters { get; init; }

    /// <summary>Elements of the output.</summary>
    public long Length { get; init; }

    /// <summary>
    /// What the tensor shares with others that are merged together with it, by one worker one after the other;
    /// <c>null</c> for a tensor that is merged alone.
    /// </summary>
    public IHeld? Shared { get; init; }

    /// <summary>An output tensor that is another one's values, whole or its leading rows.</summary>
    public static PlannedTensor Copy(TensorSpec spec, ModelTensor input, IHeld? shared = null) => new()
    {
        Spec = spec,
        Base = null,
        Sources = [new PlannedSource(0, input, new Dictionary<string, ParameterValue>())],
        IsCopy = true,
        Parameters = new Dictionary<string, ParameterValue>(),
        Length = Elements.Count(spec.Shape),
        Shared = shared,
    };

    /// <summary>All tensors that it is computed from.</summary>
    public IEnumerable<ModelTensor> Inputs => Sources.Select(s => s.Input).Concat(Base is null ? [] : [Base]);

    /// <summary>
    /// Most bytes that tensors of steps take while this one is merged: those that it reads, one after the other in the
    /// making, with what each in turn reads.
    /// </summary>
    public long IntermediateBytes => _intermediateBytes ??= MergedTensor.MostBytes(Inputs);
}

/// <summary>One model's part in an output tensor.</summary>
/// <param name="Ordinal">The model's ordinal.</param>
/// <param name="Input">Its tensor.</param>
/// <param name="Parameters">The values of the method's per-model parameters.</param>
internal sealed record PlannedSource(
    int Ordinal, ModelTensor Input, IReadOnlyDictionary<string, ParameterValue> Parameters)
{
    /// <summary>The value of a per-model number.</summary>
    public double this[string parameter] =>
        Parameters[parameter].Number ?? throw new InvalidOperationException($"'{parameter}' has no value.");
}

/// <summary>The value of a parameter for one tensor: a number, a word, or nothing.</summary>
internal readonly record struct ParameterValue(double? Number, string? Word);
