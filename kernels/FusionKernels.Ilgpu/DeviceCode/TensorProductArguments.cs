namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="TensorProduct"/>.</summary>
internal struct TensorProductArguments
{
    /// <summary>m lines of k steps.</summary>
    public required TensorOperand Left;

    /// <summary>n lines of k steps.</summary>
    public required TensorOperand Right;

    /// <summary>m x n.</summary>
    public required ProductOutput<float> Output;

    /// <summary>
    /// Address of the output's first element; 0 where not all of its rows begin at multiples of 16 bytes.
    /// </summary>
    public required long OutputAddress;

    /// <summary>k.</summary>
    public required int Depth;
}
