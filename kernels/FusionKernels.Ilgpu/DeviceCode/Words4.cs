namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Sixteen bytes that a thread reads or writes at once.</summary>
internal struct Words4
{
    public uint X, Y, Z, W;
}
