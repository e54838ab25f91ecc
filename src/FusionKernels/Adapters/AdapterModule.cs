using FusionKernels.Kernels;
using FusionKernels.Models.Lora;
using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>A module that gets factors, and how they are computed.</summary>
internal sealed class AdapterModule
{
    // Beyond any real adapter; arrays and kernels count in 32 bits.
    private const long MaxElements = 1 << 28;

    /// <summary>The module, such as <c>model.layers.0.self_attn.q_proj</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Rows of B.</summary>
    public required long Outputs { get; init; }

    /// <summary>The dimensions of A after its first; a convolution has several.</summary>
    public required IReadOnlyList<long> Inputs { get; init; }

    /// <summary>Whether the names of its factors are those of an embedding.</summary>
    public required bool IsEmbedding { get; init; }

    /// <summary>What the factors are stored as.</summary>
    public required Dtype Dtype { get; init; }

    /// <summary>Computes the factors; called for one module at a time.</summary>
    public required Func<IStreamTeam, LoraPair> Factor { get; init; }

    /// <summary>The elements of the matrix that the factors stand for.</summary>
    public long Elements => Outputs * FusionKernels.Elements.Count(Inputs);

    private string Prefix => $"{LoraAdapter.Prefix}{Name}.";

    /// <summary>Name of the file's tensor A.</summary>
    public string NameOfA => Prefix + (IsEmbedding ? "lora_embedding_A" : "lora_A.weight");

    /// <summary>Name of the file's tensor B.</summary>
    public string NameOfB => Prefix + (IsEmbedding ? "lora_embedding_B" : "lora_B.weight");

    /// <summary>Names, dtypes and shapes of A and B for a rank.</summary>
    /// <exception cref="MergeException">They are larger than any real adapter's.</exception>
    public (TensorSpec A, TensorSpec B) Specs(int rank)
    {
        TensorSpec a = new(NameOfA, Dtype, [rank, .. Inputs]);
        TensorSpec b = new(NameOfB, Dtype, [Outputs, rank, .. Inputs.Skip(1).Select(_ => 1L)]);
        if (Math.Max(FusionKernels.Elements.Count(a.Shape), FusionKernels.Elements.Count(b.Shape)) > MaxElements)
        {
            throw new MergeException(
                MergeError.Models, $"{Name}: factors of rank {rank} are larger than any adapter's");
        }

        return (a, b);
    }
}
