using System.Text.Json.Nodes;

namespace FusionKernels.Planning;

/// <summary>
/// What a recipe merges before its output is laid out; a method may write other tensors than those planned.
/// </summary>
internal sealed record MergeDraft
{
    /// <summary>The base, or <c>null</c>.</summary>
    public required PlannedModel? Base { get; init; }

    /// <summary>The models that are merged, by their ordinals.</summary>
    public required IReadOnlyList<PlannedModel> Models { get; init; }

    /// <summary>The output's tensors in order.</summary>
    public required IReadOnlyList<PlannedTensor> Tensors { get; init; }

    /// <summary>How the merge runs.</summary>
    public required MergeOptions Options { get; init; }

    /// <summary>Ends what is computed for a plan.</summary>
    public required CancellationToken Cancellation { get; init; }

    /// <summary>Keys of config.json that say what class the output is; empty for the donor's.</summary>
    public JsonObject ClassSettings { get; init; } = [];

    /// <summary>Metadata of every shard; <c>null</c> for the usual.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>What a careful user should know about the output.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}
