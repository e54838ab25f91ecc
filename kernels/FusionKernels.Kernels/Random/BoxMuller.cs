using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Standard normals from the words of a stream (Box and Muller 1958): with u1 = ((w0 &gt;&gt; 8) + 1) * 2^-24 in (0, 1]
/// and u2 = (w1 &gt;&gt; 8) * 2^-24 in [0, 1), the pair sqrt(-2 ln u1) * (cos 2 pi u2, sin 2 pi u2). In fp64, rounded
/// once.
/// </summary>
internal static class BoxMuller
{
    /// <summary>The most words that <see cref="Fill"/> takes.</summary>
    public const int MostWords = 1024;

    private const double Unit = 1.0 / (1 << 24);

    /// <summary>The normals of elements 2i and 2i + 1 from their words.</summary>
    public static (float Even, float Odd) Pair(uint even, uint odd)
    {
        double radius = Math.Sqrt(-2 * Math.Log(((even >> 8) + 1) * Unit));
        (double sin, double cos) = Math.SinCos(2 * Math.PI * ((odd >> 8) * Unit));
        return ((float)(radius * cos), (float)(radius * sin));
    }

    /// <summary>The normals of an even number of words, with the bits of <see cref="Pair"/>.</summary>
    /// <param name="words">The words, at most <see cref="MostWords"/>.</param>
    /// <param name="normals">Receives as many.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Fill(ReadOnlySpan<uint> words, Span<float> normals)
    {
        // Vectorised functions differ from Math's in their last bits, and they are fast on angles of at most pi / 4, so
        // u2 is the nearest quarter turn and the rest, exactly. Together that changes no product by more than 2^-49 of
        // the radius (measured for all u1 and u2; the rounding of 2 pi u2 is most of it). So a product of at least 2^-8
        // of the radius is known to 2^12 units of its last place, and rounds to the same float unless it is that close
        // to the middle of two; the few others are computed again.
        int pairs = words.Length / 2;
        Span<double> radii = stackalloc double[pairs], angles = stackalloc double[pairs];
        Span<double> sines = stackalloc double[pairs], cosines = stackalloc double[pairs];
        for (int i = 0; i < radii.Length; i++)
        {
            int turn = (int)(words[(2 * i) + 1] >> 8), rest = turn - (Quarters(turn) << 22);
            radii[i] = ((int)(words[2 * i] >> 8) + 1) * Unit;
            angles[i] = rest * (2 * Math.PI * Unit);
        }

        TensorPrimitives.Log(radii, radii);
        TensorPrimitives.Multiply(radii, -2, radii);
        TensorPrimitives.Sqrt(radii, radii);
        TensorPrimitives.Sin(angles, sines);
        TensorPrimitives.Cos(angles, cosines);
        TensorPrimitives.Multiply(radii, sines, sines);
        TensorPrimitives.Multiply(radii, cosines, cosines);

        // A quarter turn more is (-sin, cos): the two change places where their number is odd, by their bits.
        for (int i = 0; i < radii.Length; i++)
        {
            long quarters = Quarters((int)(words[(2 * i) + 1] >> 8));
            long cosine = BitConverter.DoubleToInt64Bits(cosines[i]), sine = BitConverter.DoubleToInt64Bits(sines[i]);
            long change = (cosine ^ sine) & -(quarters & 1);
            long x = cosine ^ change ^ ((quarters + 1) >> 1 << 63), y = sine ^ change ^ (quarters >> 1 << 63);
            double least = radii[i] * (1.0 / 256);
            (normals[2 * i], normals[(2 * i) + 1]) = IsSure(x, least) & IsSure(y, least)
                ? ((float)BitConverter.Int64BitsToDouble(x), (float)BitConverter.Int64BitsToDouble(y))
                : Pair(words[2 * i], words[(2 * i) + 1]);
        }
    }

    /// <summary>The quarter turn that is nearest to a number of 2^-24 turns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Quarters(int turn) => (turn + (1 << 21)) >> 22;

    /// <summary>
    /// Whether all values within some units of the last place round to the same float: its 29 bits below a float's are
    /// not next to one half.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSure(long value, double least)
    {
        const long Mask = (1L << 29) - 1, Half = 1L << 28, Units = 1L << 12;
        return ((ulong)((value & Mask) - Half + Units) > 2 * Units)
            & (Math.Abs(BitConverter.Int64BitsToDouble(value)) > least);
    }
}
