using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;

namespace FusionKernels.Smile;

/// <summary>
/// A linear layer that is upscaled: what its factors are computed from, and, while someone holds it, the factors.
/// </summary>
internal sealed class SmileLayer : IHeld
{
    private readonly Held<SmileFactors> _factors = new();

    /// <summary>The base's weights, [m, n].</summary>
    public required ModelTensor Base { get; init; }

    /// <summary>The experts' weights.</summary>
    public required IReadOnlyList<ModelTensor> Experts { get; init; }

    /// <summary>The experts' ranks; 0 where they are dense.</summary>
    public required IReadOnlyList<int> Ranks { get; set; }

    /// <summary>Rows of the router per expert.</summary>
    public required int GateRank { get; init; }

    /// <summary>Whether the router's rows are singular vectors of the experts' deltas, not of their weights.</summary>
    public required bool RoutesByDelta { get; init; }

    /// <summary>How singular vectors are found.</summary>
    public required SketchOptions Sketch { get; init; }

    /// <summary>The stored tensors that it is computed from.</summary>
    public IEnumerable<ModelTensor> Inputs => [Base, .. Experts];

    /// <summary>The factors.</summary>
    /// <exception cref="InvalidOperationException">Nobody holds the layer.</exception>
    public SmileFactors Factors =>
        _factors.Value ?? throw new InvalidOperationException($"{Base.Name} is not held.");

    /// <inheritdoc/>
    public void Hold(MergeContext context, Workers workers) => _factors.Hold(() =>
    {
        using var inputs = new HeldTensors(Inputs, context, workers);
        context.CountRead(Inputs.Sum(i => i.ByteLength));
        return SmileFactors.Compute(this, workers);
    });

    /// <inheritdoc/>
    public void Release() => _factors.Release();

    /// <summary>The leading singular triplets of an expert's delta, or of its weights.</summary>
    /// <param name="team">Who computes.</param>
    /// <param name="expert">Which expert.</param>
    /// <param name="rank">How many triplets.</param>
    /// <param name="ofDelta">Whether the base is subtracted.</param>
    /// <exception cref="MergeException">The matrix holds NaN or infinity.</exception>
    public RandomizedSvd Decompose(IStreamTeam team, int expert, int rank, bool ofDelta)
    {
        using var matrix = new DeltaMatrix(ofDelta ? Base : null, Experts[expert]);
        SketchOptions sketch = Sketch with { Random = Philox.ForTensor(Sketch.Random.Seed, Base.Name, expert) };
        return matrix.Factor(m => RandomizedSvd.Factor(team, m, rank, sketch));
    }
}
