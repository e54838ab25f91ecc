using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>e^x for x of at most 0, which not every device has: within some 2 units of the last place.</summary>
internal static class Exponential
{
    // x = (n + f) ln 2 with |f| at most a half: 2^n by its bits, e^(f ln 2) by its Taylor series, whose next term is
    // 2^-31. ln 2 is taken off in two parts, of which the first has zeros enough for n times it to be exact.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Of(float x)
    {
        const float PerLn2 = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f, Smallest = -87;
        if (x < Smallest)
            return 0;
        int n = (int)((x * PerLn2) - 0.5f);
        float f = (x - (n * Ln2High)) - (n * Ln2Low);
        float series = (1f / 720) + (f * (1f / 5040));
        series = (1f / 120) + (f * series);
        series = (1f / 24) + (f * series);
        series = (1f / 6) + (f * series);
        series = 0.5f + (f * series);
        series = 1 + (f * (1 + (f * series)));
        return series * Interop.IntAsFloat((uint)(n + 127) << 23);
    }
}
