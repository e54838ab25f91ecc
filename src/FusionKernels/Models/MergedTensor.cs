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
internal sealed unsafe class MergedTensor(string model, MergePlan merge, PlacedTensor place) : ModelTensor
{
    private readonly Lock _gate = new();
    private TensorMemory? _memory;
    private int _holders;

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

    /// <summary>Makes the bytes ready to be fetched, until as many calls of <see cref="Release"/>.</summary>
    /// <param name="write">
    /// Merges the tensor. Another thread that wants it waits meanwhile; a thread waits only for tensors that it is
    /// computed from, so none waits for itself.
    /// </param>
    public void Hold(Action<IOutputFile> write)
    {
        lock (_gate)
        {
            if (_memory is null)
            {
                var memory = new TensorMemory(ByteLength);
                try
                {
                    write(memory);
                }
                catch
                {
                    memory.Dispose();
                    throw;
                }

                _memory = memory;
            }

            _holders++;
        }
    }

    /// <summary>Ends a <see cref="Hold"/>.</summary>
    public void Release()
    {
        lock (_gate)
        {
            if (--_holders > 0)
                return;
            _memory!.Dispose();
            _memory = null;
        }
    }

    /// <inheritdoc/>
    public override byte* Fetch(long byteOffset, nint byteLength, byte* scratch) =>
        _memory is { } memory ? memory.Address + byteOffset
            : throw new InvalidOperationException($"{Name} is not held.");

    /// <inheritdoc/>
    public override void Prefetch()
    {
        foreach (var input in Inputs)
            input.Prefetch();
    }
}
