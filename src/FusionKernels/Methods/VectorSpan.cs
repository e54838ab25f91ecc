namespace FusionKernels.Methods;

/// <summary>
/// Vectors in the span of some tensors, held as coefficients: lengths and angles come from the tensors' Gram matrix, so
/// spherical geometry costs one pass over the data, whatever the number of steps.
/// </summary>
/// <param name="gram">Dot products of the tensors, upper triangle by rows.</param>
/// <param name="count">How many tensors.</param>
internal sealed class VectorSpan(double[] gram, int count)
{
    /// <summary>How many tensors.</summary>
    public int Count => count;

    /// <summary>The dot product of tensors i and j, i at most j.</summary>
    public double this[int i, int j] => gram[(i * count) - (i * (i - 1) / 2) + j - i];

    /// <summary>The tensors' lengths.</summary>
    public double[] Norms => Enumerable.Range(0, count).Select(i => Math.Sqrt(this[i, i])).ToArray();

    /// <summary>A tensor times a factor.</summary>
    public double[] Vector(int tensor, double factor)
    {
        var vector = new double[count];
        vector[tensor] = factor;
        return vector;
    }

    /// <summary>The dot product.</summary>
    public double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j < count; j++)
                sum += a[i] * b[j] * this[Math.Min(i, j), Math.Max(i, j)];
        }

        return sum;
    }

    /// <summary>The length; rounding may leave a tiny negative square, which counts as zero.</summary>
    public double Norm(double[] vector) => Dot(vector, vector) is var square && square < 0 ? 0 : Math.Sqrt(square);

    /// <summary>a + factor b.</summary>
    public static double[] Add(double[] a, double[] b, double factor) => a.Zip(b, (x, y) => x + (factor * y)).ToArray();

    /// <summary>factor a.</summary>
    public static double[] Scale(double[] a, double factor) => a.Select(x => factor * x).ToArray();

    /// <summary>sum_i w_i v_i.</summary>
    public static double[] Sum(double[][] vectors, double[] weights) =>
        vectors.Select((v, i) => Scale(v, weights[i])).Aggregate((a, b) => Add(a, b, 1));
}
