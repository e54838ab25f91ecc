using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
#if FUSION_GPU
using FusionKernels.Kernels.Ilgpu;
#endif

namespace FusionKernels.Cli;

/// <summary>The devices that the tool can run kernels on.</summary>
internal static class Backends
{
    /// <summary>What <c>--device</c> takes.</summary>
    public static string[] Devices => ["auto", "cpu", .. Gpus];

#if FUSION_GPU
    private static IReadOnlyList<string> Gpus => IlgpuBackend.Devices();

    /// <summary>Opens a device of <see cref="Devices"/>; <c>auto</c> is the fastest there is.</summary>
    public static IKernelBackend Open(string device) => device is "auto" or "cpu" ? new CpuBackend() : IlgpuBackend.Open(device);
#else
    private static IReadOnlyList<string> Gpus => [];

    /// <summary>Opens a device of <see cref="Devices"/>; <c>auto</c> is the fastest there is.</summary>
    public static IKernelBackend Open(string device) => device switch
    {
        "auto" or "cpu" => new CpuBackend(),
        _ => throw new ArgumentOutOfRangeException(nameof(device), device, null),
    };
#endif
}
