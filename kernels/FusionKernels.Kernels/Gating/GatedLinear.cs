namespace FusionKernels.Kernels;

/// <summary>
/// A linear layer with experts and a router that picks some for each token: <c>y = W x + b + sum_j w_j E_j(x)</c> with
/// scores <c>r_i = || G_i x ||_2</c>, probabilities <c>p = softmax(r)</c>, the TopK most probable experts, and
/// <c>w</c> their probabilities divided by their sum. This is the layer of SMILE (Tang et al. 2024, "SMILE: Zero-Shot
/// Sparse Mixture of Low-Rank Experts Construction From Pre-Trained Foundation Models"). It describes memory and owns
/// none; immutable, so threads may share it.
/// </summary>
public sealed class GatedLinear
{
    /// <summary>
    /// Up to so many tokens the weights are read once from where they are and multiplied as they come; more are a
    /// product of matrices. Measured on a matrix of 4096 x 4096: with eight tokens the first way takes 70 % of the
    /// second one's time in bf16, 80 % in F16 and as much in F32.
    /// </summary>
    public const int FewTokens = 8;

    private readonly Expert[] _experts;

    /// <summary>Describes a layer.</summary>
    /// <param name="weights">W, m x n, of any type, stored by rows.</param>
    /// <param name="bias">b, m elements of any type, or <c>default</c>.</param>
    /// <param name="experts">The experts; none make a plain linear layer. Their ranks may differ.</param>
    /// <param name="topK">Experts per token, from 1 to the number of experts; without experts it is not used.</param>
    /// <exception cref="ArgumentException">Shapes do not fit together, or a matrix is stored by columns.</exception>
    public GatedLinear(Matrix weights, Operand bias, ReadOnlySpan<Expert> experts, int topK)
    {
        CheckRows(weights, weights.Rows, weights.Columns);
        foreach (ref readonly Expert expert in experts)
            expert.Check(weights.Rows, weights.Columns, scores: experts.Length > 1);
        if (experts.Length > 0)
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(topK);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(topK, experts.Length);
        }

        (Weights, Bias, _experts, TopK) = (weights, bias, experts.ToArray(), experts.IsEmpty ? 0 : topK);
        InnerWidth = _experts.Select(e => e.Rank).DefaultIfEmpty(0).Max();
    }

    /// <summary>W, m x n.</summary>
    public Matrix Weights { get; }

    /// <summary>b, or <c>default</c>.</summary>
    public Operand Bias { get; }

    /// <summary>The experts.</summary>
    public ReadOnlySpan<Expert> Experts => _experts;

    /// <summary>Experts per token; 0 for a plain layer.</summary>
    public int TopK { get; }

    /// <summary>m.</summary>
    public int Outputs => Weights.Rows;

    /// <summary>n.</summary>
    public int Inputs => Weights.Columns;

    /// <summary>The largest rank among the experts.</summary>
    public int InnerWidth { get; }

    /// <summary>Checks activations of this layer: F32, by rows, of the right width.</summary>
    internal static void CheckActivations(in Matrix activations, int tokens, int width)
    {
        CheckRows(activations, tokens, width);
        if (activations.Data.Type != ElementType.F32)
            throw new ArgumentException($"activations are F32, not {activations.Data.Type}", nameof(activations));
    }

    internal static void CheckRows(in Matrix matrix, int rows, int columns)
    {
        matrix.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(matrix.Rows, rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(matrix.Columns, columns);
        if (!matrix.IsRowMajor || matrix.Base.Exists)
            throw new ArgumentException("a gated layer's matrices are stored by rows, without a base", nameof(matrix));
    }
}
