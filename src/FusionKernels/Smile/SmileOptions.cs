using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Smile;

/// <summary>How a <see cref="SmileModel"/> is opened and computes.</summary>
public sealed record SmileOptions
{
    /// <summary>Threads that share a forward pass; 0 is one per processor.</summary>
    public int Threads { get; init; }

    /// <summary>
    /// Experts per token; <c>null</c> takes <c>num_experts_per_tok</c> of config.json, or 1 where there is none.
    /// </summary>
    public int? ExpertsPerToken { get; init; }

    /// <summary>
    /// Router rank of layers that store no gate, because its rows are the first ones of each expert's <c>svh</c>
    /// without their singular values; <c>null</c> takes <c>rank_of_router</c> of config.json.
    /// </summary>
    public int? RouterRank { get; init; }

    /// <summary>How the files are read: mapped, or loaded into memory as a whole.</summary>
    public SafetensorsOptions Files { get; init; } = new();

    /// <summary>Where the kernels run; <c>null</c> is the CPU. It must be able to read host memory.</summary>
    public IKernelBackend? Backend { get; init; }
}
