namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>What lies side by side in a slab, as it does in the operand's memory.</summary>
internal interface ISlabLayout
{
    /// <summary>Whether it is a line's steps, not a step's lines.</summary>
    static abstract bool IsByLines { get; }
}
