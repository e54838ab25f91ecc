namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Eight elements of a matrix as they are stored, and the same ones of its base.</summary>
internal struct StoredGroup
{
    public Stored8 Data, Base;
}
