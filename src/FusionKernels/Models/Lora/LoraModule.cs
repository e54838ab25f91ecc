using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>
/// The tensors that an adapter has for one module. A linear layer's A is [rank, in] and its B [out, rank]; a
/// convolution has further dimensions after A's, and ones after B's; an embedding's A is [rank, tokens] and its B
/// [width, rank], and the product is transposed.
/// </summary>
/// <param name="Name">The module, such as <c>model.layers.0.self_attn.q_proj</c>.</param>
internal sealed record LoraModule(string Name)
{
    // A rank, and elements of a factor, beyond which no adapter goes and arrays end.
    private const int MaxRank = 1 << 16, MaxElements = 1 << 28;

    /// <summary>What follows the module's name in the name of each part.</summary>
    public static readonly string[] Suffixes =
    [
        ".lora_A.weight", ".lora_B.weight", ".lora_B.bias", ".lora_magnitude_vector", ".lora_magnitude_vector.weight",
        ".lora_embedding_A", ".lora_embedding_B",
    ];

    /// <summary>The right factor of the product.</summary>
    public CheckpointTensor? A { get; private set; }

    /// <summary>The left factor of the product.</summary>
    public CheckpointTensor? B { get; private set; }

    /// <summary>An update s * bias of the layer's bias, or <c>null</c>.</summary>
    public CheckpointTensor? Bias { get; private set; }

    /// <summary>DoRA's length of each output row, or <c>null</c>.</summary>
    public CheckpointTensor? Magnitude { get; private set; }

    /// <summary>Whether the layer is an embedding.</summary>
    public bool IsEmbedding { get; private set; }

    /// <summary>Some part, for messages.</summary>
    public CheckpointTensor Any => (A ?? B ?? Bias ?? Magnitude)!;

    /// <summary>Takes a part by its suffix; false where there is one already.</summary>
    public bool TryAdd(string suffix, CheckpointTensor tensor)
    {
        bool isEmbedding = suffix.StartsWith(".lora_embedding", StringComparison.Ordinal);
        switch (suffix)
        {
            case ".lora_A.weight" or ".lora_embedding_A" when A is null && (B is null || IsEmbedding == isEmbedding):
                (A, IsEmbedding) = (tensor, isEmbedding);
                return true;
            case ".lora_B.weight" or ".lora_embedding_B" when B is null && (A is null || IsEmbedding == isEmbedding):
                (B, IsEmbedding) = (tensor, isEmbedding);
                return true;
            case ".lora_B.bias" when Bias is null:
                Bias = tensor;
                return true;
            case ".lora_magnitude_vector" or ".lora_magnitude_vector.weight" when Magnitude is null:
                Magnitude = tensor;
                return true;
            default:
                return false;
        }
    }

    /// <summary>The factors, where they fit together.</summary>
    /// <param name="config">How the adapter is meant.</param>
    /// <exception cref="MergeException">They do not, or one is missing.</exception>
    public (CheckpointTensor A, CheckpointTensor B) Pair(LoraConfig config)
    {
        if (A is null || B is null)
            throw LoraAdapter.Error(Any, "lora_A and lora_B are not both there");
        if (A.Shape.Count < 2 || B.Shape.Count < 2 || A.Shape[0] != B.Shape[1])
            throw LoraAdapter.Error(A, $"has no rank in common with {B.Name}");
        if (A.Shape[0] > MaxRank || A.ElementCount > MaxElements || B.ElementCount > MaxElements)
            throw LoraAdapter.Error(A, "is larger than any real adapter");
        if (A.Shape[0] != config.Rank(Name))
            throw LoraAdapter.Error(A, $"has rank {A.Shape[0]}, {LoraConfig.FileName} says {config.Rank(Name)}");
        return (A, B);
    }

    /// <summary>The update of the module's weight.</summary>
    /// <param name="weight">The model's weight.</param>
    /// <param name="config">How the adapter is meant.</param>
    /// <exception cref="MergeException">The parts do not fit together or to the weight.</exception>
    public LoraFactors WeightFactors(ModelTensor weight, LoraConfig config)
    {
        var (a, b) = Pair(config);
        if ((Magnitude is not null) != config.UsesDora)
        {
            throw LoraAdapter.Error(a, Magnitude is null
                ? "'use_dora' without lora_magnitude_vector"
                : "lora_magnitude_vector without 'use_dora'");
        }

        bool transposed = IsEmbedding || config.FanInFanOut;
        if (transposed && Magnitude is not null)
            throw LoraAdapter.Error(Magnitude, "DoRA on an embedding or with 'fan_in_fan_out' is not supported");
        long[] shape = transposed ? [.. a.Shape.Skip(1), b.Shape[0]] : [b.Shape[0], .. a.Shape.Skip(1)];
        if (!shape.SequenceEqual(weight.Shape) || b.Shape.Skip(2).Any(d => d != 1) || (transposed && shape.Length != 2))
            throw LoraAdapter.Misfit(a, shape, weight);
        if (Magnitude is not null && Magnitude.ElementCount != shape[0])
            throw LoraAdapter.Error(Magnitude, $"has {Magnitude.ElementCount} magnitudes for {shape[0]} rows");
        return new LoraFactors
        {
            Rows = shape[0],
            Columns = Elements.Count(shape[1..]),
            Rank = (int)a.Shape[0],
            Scale = config.Scale(Name),
            Left = transposed ? a : b,
            Right = transposed ? b : a,
            Transposed = transposed,
            Magnitude = Magnitude,
        };
    }

    /// <summary>The update s * lora_B.bias of the module's bias: a row of rank 1.</summary>
    /// <param name="bias">The model's bias.</param>
    /// <param name="config">How the adapter is meant.</param>
    /// <exception cref="MergeException">It does not fit the bias.</exception>
    public LoraFactors BiasFactors(ModelTensor bias, LoraConfig config)
    {
        if (!Bias!.Shape.SequenceEqual(bias.Shape))
            throw LoraAdapter.Misfit(Bias, Bias.Shape, bias);
        if (config.Rank(Name) == 0)
            throw LoraAdapter.Error(Bias, "belongs to a layer of rank 0, which has no scale");
        return new LoraFactors
        {
            Rows = 1,
            Columns = Bias.ElementCount,
            Rank = 1,
            Scale = config.Scale(Name),
            Left = null,
            Right = Bias,
            Transposed = false,
            Magnitude = null,
        };
    }
}
