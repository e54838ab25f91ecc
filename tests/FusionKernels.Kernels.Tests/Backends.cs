using FusionKernels.Kernels.Cpu;
#if FUSION_GPU
using FusionKernels.Kernels.Ilgpu;
#endif
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// The backends that must agree with the reference: the SIMD one at every register width, forced where the machine
/// lacks it, and where ILGPU is in the build its CPU accelerator and every device of this machine.
/// </summary>
internal static class Backends
{
    public static readonly IKernelBackend Reference = new ReferenceBackend();

    public static readonly ElementType[] Types = Enum.GetValues<ElementType>();

    private static readonly Dictionary<string, Lazy<IKernelBackend>> Known = All();

    /// <summary>Widths of the SIMD backend's registers.</summary>
    public static IReadOnlyList<int> Widths { get; } = [32, 128, 256, 512];

    /// <summary>All backends but the reference.</summary>
    public static IEnumerable<string> Names => Known.Keys;

    /// <summary>Those that ILGPU drives.</summary>
    public static IEnumerable<string> Devices => Names.Where(IsDevice);

    public static IKernelStream OpenCpu(int bits) => Open($"cpu:{bits}");

    public static IKernelStream Open(string name) => Known[name].Value.OpenStream();

    /// <summary>
    /// Some of the cases of a test that are too many for a device: a launch takes a hundred times as long as a call, and
    /// thousands of times on the CPU accelerator.
    /// </summary>
    /// <param name="name">The backend.</param>
    /// <param name="cases">All cases.</param>
    /// <param name="every">A device takes one of so many, a prime.</param>
    public static IEnumerable<T> Cases<T>(string name, IEnumerable<T> cases, int every = 37) =>
        cases.Where((_, i) => !IsDevice(name) || i % every == every / 2);

    private static bool IsDevice(string name) => !name.StartsWith("cpu:", StringComparison.Ordinal);

    private static Dictionary<string, Lazy<IKernelBackend>> All()
    {
        var all = new Dictionary<string, Lazy<IKernelBackend>>();
        foreach (int bits in new[] { 32, 128, 256, 512 })
            all.Add($"cpu:{bits}", new(() => new CpuBackend(bits)));
#if FUSION_GPU
        foreach (string id in IlgpuBackend.Devices())
            all.Add(id, new(() => IlgpuBackend.Open(id)));
#endif
        return all;
    }
}
