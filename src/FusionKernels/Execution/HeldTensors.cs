using FusionKernels.Models;

namespace FusionKernels.Execution;

/// <summary>
/// What some inputs are computed from in memory, until it is disposed. What a method reads in several passes is held
/// across them; a survey of the whole model holds a tensor for one pass at a time.
/// </summary>
internal sealed class HeldTensors : IDisposable
{
    private readonly List<IHeld> _held = [];

    /// <summary>Computes what nobody holds yet, and holds all.</summary>
    /// <param name="inputs">The inputs.</param>
    /// <param name="context">The run's.</param>
    /// <param name="workers">Who computes.</param>
    public HeldTensors(IEnumerable<ModelTensor> inputs, MergeContext context, Workers workers)
    {
        try
        {
            foreach (IHeld held in inputs.SelectMany(i => i.Held).Distinct())
            {
                held.Hold(context, workers);
                _held.Add(held);
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
        foreach (IHeld held in _held)
            held.Release();
        _held.Clear();
    }
}
