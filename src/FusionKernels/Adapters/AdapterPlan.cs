using FusionKernels.Execution;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>
/// What an adapter will hold. Ranks may depend on the values, so unlike a merge's its layout is known only when all
/// factors are.
/// </summary>
internal sealed class AdapterPlan
{
    /// <summary>Name of the weights' file.</summary>
    public const string WeightsFile = "adapter_model.safetensors";

    /// <summary>One sentence for the model card.</summary>
    public required string Summary { get; init; }

    /// <summary>Everything besides the sources that decides the output's bytes.</summary>
    public required PlanRecord Record { get; init; }

    /// <summary>The modules that may get factors.</summary>
    public required IReadOnlyList<AdapterModule> Modules { get; init; }

    /// <summary>Tensors that are stored as they are, under other names and perhaps as another dtype.</summary>
    public required IReadOnlyList<(TensorSpec Spec, ModelTensor Input)> Others { get; init; }

    /// <summary>Every input file.</summary>
    public required IReadOnlyList<ShardFile> Inputs { get; init; }

    /// <summary>The base, as the configuration names it.</summary>
    public required string? BaseModel { get; init; }

    /// <summary>PEFT's name of what the model does, or <c>null</c>.</summary>
    public required string? TaskType { get; init; }

    /// <summary>Whether linear layers are stored as [in, out].</summary>
    public required bool FanInFanOut { get; init; }

    /// <summary>
    /// Whether the last part of a module's name stands for all modules that end in it, given those of the adapter.
    /// </summary>
    public required Func<string, IReadOnlySet<string>, bool> IsTarget { get; init; }

    /// <summary>What a careful user should know.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Makes the record.</summary>
    /// <param name="text">The work and its options, as lines of YAML.</param>
    /// <param name="seed">The seed of what is random in it.</param>
    /// <param name="shards">The input files.</param>
    /// <param name="settings">The small files that say how they are meant.</param>
    public static PlanRecord RecordOf(
        string text,
        ulong seed,
        IEnumerable<ShardFile> shards,
        IEnumerable<(string Path, byte[] Text)> settings) => new()
    {
        Numerics = PlanRecord.CurrentNumerics,
        Recipe = text,
        Seed = seed,
        Lenient = false,
        Sources = [.. shards.Select(SourceRecord.Of), .. settings.Select(s => SourceRecord.Of(s.Path, s.Text))],
        Layout = [],
    };
}
