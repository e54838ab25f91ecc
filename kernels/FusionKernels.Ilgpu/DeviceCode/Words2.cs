namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Eight bytes that a thread reads or writes at once.</summary>
/// <param name="x">The first word.</param>
/// <param name="y">The second.</param>
internal readonly struct Words2(uint x, uint y)
{
    public readonly uint X = x, Y = y;
}
