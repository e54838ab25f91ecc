using System.Diagnostics;
using FusionKernels.Kernels;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Benchmarks.Ratios.Gpu;

/// <summary>Cases on a device. One that fails says so and does not keep the others from being measured.</summary>
internal static class GpuCases
{
    /// <summary>Measures those that are wanted.</summary>
    /// <param name="options">Says which.</param>
    /// <param name="cases">The cases.</param>
    /// <exception cref="WrongResultException">After the last one: some have failed.</exception>
    public static IEnumerable<Ratio> Run(RatioOptions options, IEnumerable<(string Name, Func<Ratio> Measure)> cases)
    {
        // What ILGPU has to say of a kernel that a driver refuses.
        Trace.Listeners.Add(new ConsoleTraceListener(useErrorStream: true));
        var failed = new List<string>();
        foreach (var (name, measure) in cases.Where(c => options.Case is null || c.Name == options.Case))
        {
            Ratio? ratio = null;
            try
            {
                ratio = measure();
            }
            catch (Exception e) when (
                e is WrongResultException or DeviceException or AcceleratorException or InternalCompilerException)
            {
                Console.Error.WriteLine($"{name}: {e}");
                failed.Add(name);
            }

            if (ratio is not null)
                yield return ratio;
        }

        if (failed.Count > 0)
            throw new WrongResultException($"failed: {string.Join(", ", failed)}");
    }
}
