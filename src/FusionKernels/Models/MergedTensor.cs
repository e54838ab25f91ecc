using FusionKernels.Execution;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// A tensor that a step of a recipe merges. It is in memory, whole and rounded to its storage dtype, while someone
/// holds it: the first holder merges it, the last frees it.
/// </summary>
/// <param name="model">The step's name.</param>
/// <param name="merge">The step's plan.</param>
/// <param name="place">The tensor in the step's output.</param>
internal sealed unsafe class MergedTensor(string model, MergePlan merge, PlacedTensor place) : ModelTensor, IHeld
{
    private readonly Held<TensorMemory> _memory = new();

    /// <inheritdoc/>
    public override string Name => place.Name;

    /// <inheritdoc/>
    public override string Path => $"the output of '{model}'";

    /// <inheritdoc/>
    public override Dtype Dtype => place.Dtype;

    /// <inheritdoc/>
    public override IReadOnlyList<long> Shape => place.Shape;

    /// <inheritdoc/>
    public override long ElementCount => Plan.Length;

    /// <inheritdoc/>
    public override long ByteLength => place.ByteLength;

    /// <summary>The step's plan.</summary>
    public MergePlan Merge => merge;

    /// <summary>How it is merged.</summary>
    public PlannedTensor Plan { get; } = merge.Tensors[place.Name];

    /// <inheritdoc/>
    public override IEnumerable<ModelTensor> Inputs => Plan.Inputs;

    /// <inheritdoc/>
    public override IEnumerable<IHeld> Held => [this];

    /// <summary>
    /// The merged tensors that others are, or are computed from; inputs of merged tensors are not looked at.
    /// </summary>
    public static IEnumerable<MergedTensor> Among(IEnumerable<ModelTensor> tensors) =>
        tensors.SelectMany(t => t is MergedTensor merged ? [merged] : Among(t.Inputs));

    /// <summary>
    /// The most bytes of merged tensors that are in memory at once while these are held, one after the other.
    /// </summary>
    public static long MostBytes(IEnumerable<ModelTensor> tensors)
    {
        long held = 0, most = 0;
        foreach (var tensor in Among(tensors).Distinct())
        {
            held += tensor.ByteLength;
            most = Math.Max(most, held + tensor.Plan.IntermediateBytes);
        }

        return most;
    }

    /// <inheritdoc/>
    public void Hold(MergeContext context, Workers workers) => _memory.Hold(() =>
    {
        var memory = new TensorMemory(ByteLength);
        try
        {
            var sink = new TensorSink(memory, 0, null, static _ => { });
            using var tensor = new TensorMerge(Plan, context.Steps[merge], workers, sink);
            tensor.Run();
            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    });

    /// <inheritdoc/>
    public void Release() => _memory.Release();

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        _memory.Value is { } memory ? memory.Address + byteOffset
            : throw new InvalidOperationException($"{Name} is not held.");

    /// <inheritdoc/>
    public override void Prefetch()
    {
        foreach (var input in Inputs)
            input.Prefetch();
    }
}
