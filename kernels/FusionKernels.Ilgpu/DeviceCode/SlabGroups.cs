namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>A thread's elements of a slab on their way.</summary>
internal struct SlabGroups
{
    public StoredGroup G0, G1, G2, G3;
}
