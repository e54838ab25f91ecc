using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// Where the drivers' libraries are found. ILGPU asks for <c>OpenCL</c> and <c>cuda</c>; a Linux machine without
/// development packages has them under their versioned names only.
/// </summary>
internal static class DeviceLibraries
{
    private static readonly Lazy<bool> Resolver = new(() =>
    {
        // ILGPU brings its own resolver for Windows' Linux subsystem, and an assembly can have one only.
        if (OperatingSystem.IsLinux() && !File.Exists("/proc/sys/fs/binfmt_misc/WSLInterop"))
            NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, Resolve);
        return true;
    });

    /// <summary>Makes the versioned names known; before the first context, once in a process.</summary>
    public static void Find() => _ = Resolver.Value;

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        string? versioned = name switch
        {
            "OpenCL" => "libOpenCL.so.1",
            "cuda" => "libcuda.so.1",
            _ => null,
        };
        return versioned is not null && NativeLibrary.TryLoad(versioned, out nint library) ? library : 0;
    }
}
