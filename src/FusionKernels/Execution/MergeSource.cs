using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>Makes the mask of a model within one chunk, which has this model as its only source.</summary>
/// <param name="stream">Where to look at the chunk.</param>
/// <param name="chunk">The chunk.</param>
/// <param name="index">Which chunk of the tensor it is.</param>
internal delegate Mask ChunkMask(IKernelStream stream, in Chunk chunk, int index);

/// <summary>One model's whole tensor as an input of a pass: <see cref="Source"/> before it is cut into chunks.</summary>
/// <param name="Input">The tensor.</param>
internal readonly record struct MergeSource(ModelTensor Input)
{
    /// <summary>Which elements of the delta take part.</summary>
    public Mask Mask { get; init; }

    /// <summary>Makes the mask chunk by chunk instead of <see cref="Mask"/>, where ties at a threshold must be told apart.</summary>
    public ChunkMask? Ties { get; init; }

    /// <summary>Whether some elements are left out.</summary>
    public bool IsMasked => Ties is not null || Mask.Kind != MaskKind.All;

    /// <summary>sum |v| of the delta and of the masked delta, where the pass that drew the mask found them.</summary>
    public (double Delta, double Masked)? Norms { get; init; }

    /// <summary>Factor on the masked delta.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>The model's weight.</summary>
    public float Weight { get; init; } = 1;
}
