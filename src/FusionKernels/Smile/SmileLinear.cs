using FusionKernels.Kernels;

namespace FusionKernels.Smile;

/// <summary>
/// A linear layer of a <see cref="SmileModel"/>, with experts or plain: <c>y = W0 x + b0 + sum_j w_j E_j(x)</c> for
/// each token x, with low-rank experts <c>E(x) = u (svh x) + bias</c> or dense ones <c>E(x) = W x + bias</c>
/// (<see cref="GatedLinear"/> says how w is found). Usable until the model is disposed; callers on several threads wait
/// for each other.
/// </summary>
public sealed class SmileLinear
{
    private readonly SmileModel _model;

    internal SmileLinear(string name, GatedLinear layer, SmileModel model) =>
        (Name, Layer, _model) = (name, layer, model);

    /// <summary>
    /// The layer's name, e.g. <c>model.layers.0.mlp.up_proj</c>; empty for a model that is one layer.
    /// </summary>
    public string Name { get; }

    /// <summary>Its matrices, which lie in the model's memory.</summary>
    public GatedLinear Layer { get; }

    /// <summary>Elements of a token.</summary>
    public int Inputs => Layer.Inputs;

    /// <summary>Elements that a token becomes.</summary>
    public int Outputs => Layer.Outputs;

    /// <summary>Number of experts; 0 for a plain layer.</summary>
    public int Experts => Layer.Experts.Length;

    /// <summary>Computes the layer for some tokens.</summary>
    /// <param name="x">tokens x <see cref="Inputs"/>, token after token.</param>
    /// <param name="tokens">How many.</param>
    /// <param name="y">
    /// tokens x <see cref="Outputs"/>; every element is written. May not overlap <paramref name="x"/>.
    /// </param>
    /// <exception cref="ArgumentException">Lengths do not fit, or the spans overlap.</exception>
    /// <exception cref="ObjectDisposedException">The model is disposed.</exception>
    public unsafe void Forward(ReadOnlySpan<float> x, int tokens, Span<float> y)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Length, (long)tokens * Inputs, nameof(x));
        ArgumentOutOfRangeException.ThrowIfNotEqual(y.Length, (long)tokens * Outputs, nameof(y));
        if (x.Overlaps(y))
            throw new ArgumentException("the output overlaps the input", nameof(y));

        // SAFETY: both spans were checked to hold the matrices and stay pinned during the pass.
        fixed (float* input = x, output = y)
        {
            _model.Run(
                Layer,
                new Matrix(new Operand(ElementType.F32, input), tokens, Inputs),
                new Matrix(new Operand(ElementType.F32, output), tokens, Outputs));
        }
    }
}
