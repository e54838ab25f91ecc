namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <inheritdoc/>
internal readonly struct ByLines : ISlabLayout
{
    /// <inheritdoc/>
    public static bool IsByLines => true;
}
