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

    /// <summary>All, the reference last.</summary>
    public static IEnumerable<string> WithReference => Names.Append("reference");

    public static IKernelStream OpenCpu(int bits) => Open($"cpu:{bits}");

    public static IKernelStream Open(string name) => Get(name).OpenStream();

    public static IKernelBackend Get(string name) => name == "reference" ? Reference : Known[name].Value;

    /// <summary>
    /// The cases that a backend runs of a test that has many: the last three and some of the others on a device.
    /// </summary>
    public static IEnumerable<T> Some<T>(string name, IEnumerable<T> cases)
    {
        T[] all = [.. cases];
        return all.Where((_, i) => Takes(name, i, every: 37) || i >= all.Length - 3);
    }

    /// <summary>
    /// Whether a backend runs case number <paramref name="number"/> of a test that has many. The CPU runs all; a
    /// device one of
    /// <paramref name="every"/>, because a launch takes a hundred times as long as a call, on the CPU accelerator
    /// thousands of times, and every kernel must be compiled.
    /// </summary>
    public static bool Takes(string name, int number, int every) => !IsDevice(name) || number % every == every / 2;

    private static bool IsDevice(string name) => !name.StartsWith("cpu:", StringComparison.Ordinal);

    private static Dictionary<string, Lazy<IKernelBackend>> All()
    {
        var all = new Dictionary<string, Lazy<IKernelBackend>>();
        foreach (int bits in new[] { 32, 128, 256, 512 })
            all.Add($"cpu:{bits}", new(() => new CpuBackend(bits)));
#if FUSION_GPU
        foreach (string id in IlgpuBackend.Devices())
        {
            if (Conformance.Device is null || id == Conformance.Device)
                all.Add(id, new(() => IlgpuBackend.Open(id)));
        }
#endif
        return all;
    }
}
