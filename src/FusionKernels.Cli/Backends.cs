using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Cli;

/// <summary>The devices that the tool can run kernels on.</summary>
internal static class Backends
{
    /// <summary>What <c>--device</c> takes.</summary>
    public static string[] Devices { get; } = ["auto", "cpu"];

    /// <summary>Opens a device of <see cref="Devices"/>; <c>auto</c> is the fastest there is.</summary>
    public static IKernelBackend Open(string device) => device switch
    {
        "auto" or "cpu" => new CpuBackend(),
        _ => throw new ArgumentOutOfRangeException(nameof(device), device, null),
    };
}
