using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Models;

/// <summary>Stored values as another storage type.</summary>
internal static class Conversion
{
    private static readonly CpuBackend Cpu = new();

    /// <summary>Rounds each element once.</summary>
    /// <param name="from">The elements.</param>
    /// <param name="to">Receives them; must not overlap <paramref name="from"/>.</param>
    /// <param name="length">How many.</param>
    public static void Round(Operand from, Operand to, int length)
    {
        using var stream = Cpu.OpenStream();
        stream.Combine(new Chunk { First = 0, Length = length, Sources = [new Source(from)] }, new WeightedSum(1), to);
    }
}
