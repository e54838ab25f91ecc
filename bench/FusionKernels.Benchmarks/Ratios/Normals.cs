namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Standard normal numbers for synthetic weights, fast and the same everywhere: each is one of 2^16 Box-Muller draws,
/// picked by 16 bits of a SplitMix64 word. Good enough for the shape of a distribution, not for statistics.
/// </summary>
internal static class Normals
{
    private static readonly float[] Table = Draw(1 << 16);

    /// <summary>Fills <paramref name="destination"/> from the stream that <paramref name="seed"/> names.</summary>
    public static void Fill(Span<float> destination, ulong seed)
    {
        ulong word = 0;
        for (int i = 0; i < destination.Length; i++)
        {
            word = (i & 3) == 0 ? NextWord(ref seed) : word >> 16;
            destination[i] = Table[(ushort)word];
        }
    }

    /// <summary>A seed that depends on all of the parts.</summary>
    public static ulong Seed(params ReadOnlySpan<int> parts)
    {
        ulong state = 0;
        foreach (int part in parts)
        {
            state ^= (uint)part;
            state = NextWord(ref state);
        }

        return state;
    }

    private static float[] Draw(int count)
    {
        var draws = new float[count];
        ulong state = 1;
        for (int i = 0; i < count; i += 2)
        {
            double radius = Math.Sqrt(-2 * Math.Log(NextUnit(ref state))), angle = 2 * Math.PI * NextUnit(ref state);
            (draws[i], draws[i + 1]) = ((float)(radius * Math.Cos(angle)), (float)(radius * Math.Sin(angle)));
        }

        return draws;
    }

    /// <summary>Uniform in (0, 1].</summary>
    private static double NextUnit(ref ulong state) => ((NextWord(ref state) >> 11) + 1) * Math.ScaleB(1, -53);

    /// <summary>SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).</summary>
    private static ulong NextWord(ref ulong state)
    {
        ulong z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
