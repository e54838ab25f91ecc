namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <inheritdoc/>
internal readonly struct BySteps : ISlabLayout
{
    /// <inheritdoc/>
    public static bool IsByLines => false;
}
