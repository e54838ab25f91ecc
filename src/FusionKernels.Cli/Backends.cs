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
#if FUSION_GPU
    public const string Names = "auto, cpu, cuda:N, opencl:N, ilgpu-cpu";

    /// <summary>What is missing from this build, or <c>null</c>.</summary>
    public static string? Missing => null;
#else
    public const string Names = "auto, cpu";

    /// <summary>What is missing from this build, or <c>null</c>.</summary>
    public static string? Missing => "the GPU backend is not in this build, because no package feed had ILGPU";
#endif

    /// <summary>The devices of this machine.</summary>
    public static IReadOnlyList<string> Devices()
    {
#if FUSION_GPU
        return ["cpu", .. IlgpuBackend.Devices()];
#else
        return ["cpu"];
#endif
    }

    /// <summary>
    /// Opens a device of <see cref="Devices"/>. <c>auto</c> is the CPU: a merge waits for its files, and no figure yet
    /// says that another device makes it faster.
    /// </summary>
    /// <param name="device">Its name.</param>
    /// <param name="memoryBytes">What may be used of a device's own memory; 0 leaves the choice to it.</param>
    /// <exception cref="MergeException">The machine has no such device, or it cannot be used.</exception>
    public static IKernelBackend Open(string device, long memoryBytes = 0)
    {
        if (device is "auto" or "cpu")
        {
            return memoryBytes == 0 ? new CpuBackend() : throw new MergeException(
                MergeError.Recipe, "--device-memory: the CPU has no memory of its own; --memory limits what it uses");
        }

#if FUSION_GPU
        if (Devices().Contains(device))
            return Gpu(device, memoryBytes);
        string has = $"this machine has {string.Join(", ", Devices())}";
#else
        string has = Missing!;
#endif
        throw new MergeException(MergeError.Recipe, $"--device {device}: no such device, {has}; see: fusion devices");
    }

#if FUSION_GPU
    private static IlgpuBackend Gpu(string device, long memoryBytes)
    {
        try
        {
            return IlgpuBackend.Open(device, memoryBytes);
        }
        catch (DeviceException e)
        {
            throw new MergeException(MergeError.Recipe, $"--device {device}: {e.Message}");
        }
    }
#endif
}
