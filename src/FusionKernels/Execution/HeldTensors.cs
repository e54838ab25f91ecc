using FusionKernels.Models;

namespace FusionKernels.Execution;

/// <summary>
/// The tensors of steps that some inputs are, or are computed from, in memory until it is disposed. What a method reads
/// in several passes is held across them; a survey of the whole model holds a tensor for one pass at a time.
/// </summary>
internal sealed class HeldTensors : IDisposable
{
    private readonly List<MergedTensor> _held = [];

    /// <summary>Merges the tensors that nobody holds yet, and holds all.</summary>
    /// <param name="inputs">The inputs.</param>
    /// <param name="context">The run's.</param>
    /// <param name="workers">Who merges.</param>
    public HeldTensors(IEnumerable<ModelTensor> inputs, MergeContext context, Workers workers)
    {
        if (context.Steps.Count == 0)
            return;
        try
        {
            foreach (var tensor in MergedTensor.Among(inputs).Distinct())
            {
                tensor.Hold(memory =>
                {
                    var sink = new TensorSink(memory, 0, null, static _ => { });
                    using var merge = new TensorMerge(tensor.Plan, context.Steps[tensor.Merge], workers, sink);
                    merge.Run();
                });
                _held.Add(tensor);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _held)
            tensor.Release();
        _held.Clear();
    }
}
