using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// The backends that must agree with the reference: the SIMD one at every register width, forced where the machine
/// lacks it.
/// </summary>
internal static class Backends
{
    public static readonly IKernelBackend Reference = new ReferenceBackend();

    public static readonly IReadOnlyList<int> Widths = [32, 128, 256, 512];

    public static IKernelStream OpenCpu(int bits) => new CpuBackend(bits).OpenStream();

    public static readonly ElementType[] Types = Enum.GetValues<ElementType>();
}
