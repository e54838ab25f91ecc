using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Arguments of <see cref="GatedKernels"/>: a gated layer whose experts stand side by side, and its activations.
/// </summary>
internal struct GatedArguments
{
    /// <summary>W, m x n.</summary>
    public required DeviceMatrix Weights;

    /// <summary>All experts' gates, (experts * GateRank) x n; zeros where an expert has fewer.</summary>
    public required DeviceMatrix Gates;

    /// <summary>All experts' Downs, (experts * Rank) x n; zeros where an expert's rank is smaller.</summary>
    public required DeviceMatrix Downs;

    /// <summary>All experts' Ups, m x (experts * Rank), likewise.</summary>
    public required DeviceMatrix Ups;

    /// <summary>A factor for each row of the gates, F32.</summary>
    public required ArrayView<float> GateScales;

    /// <summary>b, then the experts' biases: (1 + experts) x m, F32.</summary>
    public required ArrayView<float> Biases;

    /// <summary>The tokens, tokens x n.</summary>
    public required DeviceMatrix Input;

    /// <summary>The outputs, tokens x m.</summary>
    public required DeviceMatrix Output;

    /// <summary>The gates' products with the tokens, tokens x (experts * GateRank).</summary>
    public required ArrayView<float> Products;

    /// <summary>z, tokens x (experts * Rank); only the chosen experts' parts count.</summary>
    public required ArrayView<float> Inner;

    /// <summary>Elements from one token to the next in both.</summary>
    public required int ProductsStride, InnerStride;

    /// <summary>The experts of each token, and their weights: tokens x TopK.</summary>
    public required ArrayView<int> Chosen;

    /// <inheritdoc cref="Chosen"/>
    public required ArrayView<float> ChosenWeights;

    /// <summary>How many of each.</summary>
    public required int Tokens, Experts, TopK, GateRank, Rank;
}
