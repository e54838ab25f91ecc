namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Sixteen bytes that a thread reads or writes at once.</summary>
/// <param name="x">The first word.</param>
/// <param name="y">The second.</param>
/// <param name="z">The third.</param>
/// <param name="w">The fourth.</param>
internal readonly struct Words4(uint x, uint y, uint z, uint w)
{
    public readonly uint X = x, Y = y, Z = z, W = w;
}
