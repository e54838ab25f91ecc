using FusionKernels.Kernels;

namespace FusionKernels.Adapters;

/// <summary>The factors of an update B A, in F32.</summary>
/// <param name="A">rank x inputs.</param>
/// <param name="B">outputs x rank.</param>
/// <param name="CapturedEnergy">The share of the energy of what the update stands for.</param>
internal sealed record LoraPair(DenseMatrix<float> A, DenseMatrix<float> B, double CapturedEnergy) : IDisposable
{
    /// <summary>Makes the factors of leading singular triplets.</summary>
    /// <param name="left">The left vectors, as rows.</param>
    /// <param name="values">The singular values.</param>
    /// <param name="right">The right vectors, as rows.</param>
    /// <param name="rank">How many triplets.</param>
    /// <param name="energy">The sum of the squares of all singular values.</param>
    /// <param name="distribute">Whether both factors get the roots of the values, or A gets them as they are.</param>
    public static LoraPair Of(
        DenseMatrix<float> left, double[] values, DenseMatrix<float> right, int rank, double energy, bool distribute)
    {
        DenseMatrix<float> a = new(rank, right.Columns), b = new(left.Columns, rank);
        double captured = 0;
        for (int i = 0; i < rank; i++)
        {
            double onA = distribute ? Math.Sqrt(values[i]) : values[i], onB = distribute ? onA : 1;
            Span<float> v = right.Row(i), u = left.Row(i), row = a.Row(i);
            for (int j = 0; j < v.Length; j++)
                row[j] = (float)(v[j] * onA);
            for (int j = 0; j < u.Length; j++)
                b[j, i] = (float)(u[j] * onB);
            captured += values[i] * values[i];
        }

        return new LoraPair(a, b, energy == 0 ? 1 : Math.Min(1, captured / energy));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }
}
