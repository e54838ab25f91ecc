namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// A matrix on its way to the tensor cores. Lines are rows of a left matrix, columns of a right one. It begins at a
/// multiple of 16 bytes, and what lies side by side in it (a line's steps, or a step's lines) at multiples of eight
/// elements.
/// </summary>
internal struct TensorOperand
{
    /// <summary>The elements.</summary>
    public required DeviceMatrix Matrix;

    /// <summary>Address of the first one.</summary>
    public required long Address;

    /// <summary>How many lines.</summary>
    public required int Lines;

    /// <summary>
    /// Elements from one line to the next, and from one step of the sum to the next; one of them is 1.
    /// </summary>
    public required long LineStride, StepStride;
}
