namespace FusionKernels.Kernels;

/// <summary>
/// Standard normals from the words of a stream (Box and Muller 1958): with u1 = ((w0 &gt;&gt; 8) + 1) * 2^-24 in (0, 1]
/// and u2 = (w1 &gt;&gt; 8) * 2^-24 in [0, 1), the pair sqrt(-2 ln u1) * (cos 2 pi u2, sin 2 pi u2). In fp64, rounded
/// once.
/// </summary>
internal static class BoxMuller
{
    /// <summary>The normals of elements 2i and 2i + 1 from their words.</summary>
    public static (float Even, float Odd) Pair(uint even, uint odd)
    {
        const double Unit = 1.0 / (1 << 24);
        double radius = Math.Sqrt(-2 * Math.Log(((even >> 8) + 1) * Unit));
        (double sin, double cos) = Math.SinCos(2 * Math.PI * ((odd >> 8) * Unit));
        return ((float)(radius * cos), (float)(radius * sin));
    }
}
