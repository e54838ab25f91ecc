using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels;

/// <summary>A rotation of two rows, as Jacobi's and the QL algorithm make them.</summary>
/// <param name="Row">The first row.</param>
/// <param name="Other">The second row.</param>
/// <param name="Cosine">c.</param>
/// <param name="Sine">s.</param>
internal readonly record struct Rotation(int Row, int Other, double Cosine, double Sine)
{
    /// <summary>x = c x + s y and y = c y - s x.</summary>
    public static void Apply(Span<double> x, Span<double> y, double cosine, double sine)
    {
        Vector512<double> c = Vector512.Create(cosine), s = Vector512.Create(sine);
        int i = 0;
        for (; i <= x.Length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            Vector512<double> left = Vector512.Create<double>(x[i..]), right = Vector512.Create<double>(y[i..]);
            ((c * left) + (s * right)).CopyTo(x[i..]);
            ((c * right) - (s * left)).CopyTo(y[i..]);
        }

        for (; i < x.Length; i++)
            (x[i], y[i]) = ((cosine * x[i]) + (sine * y[i]), (cosine * y[i]) - (sine * x[i]));
    }
}
