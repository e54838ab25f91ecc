namespace FusionKernels.Tests.Golden;

/// <summary>
/// nuslerp as scalar code. Its decision per element: the angle that is found for its vector. Where the angle is wide, a
/// rounded one changes the coefficients by more than their own rounding.
/// </summary>
internal static class NuSlerpFormula
{
    /// <summary>Whether this is the formula of a case: two models of one shape.</summary>
    public static bool Covers(TensorCase source) => source.Method == "nuslerp" && source.Experts.Count() == 2
        && source.Models.All(m => m.Tensor.Shape.SequenceEqual(source.Models[0].Tensor.Shape));

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">
    /// Every step is rounded to it; in f32 angles are computed in doubles. The test for parallel vectors is the product's
    /// in every type: mergekit's, which vanishes in f16, is a known difference.
    /// </param>
    public static Reading Read(TensorCase source, WorkingType working)
    {
        var models = source.Experts.ToArray();
        float[][] inputs = [.. models.Select(m => m.Tensor.Floats.Select(working.Round).ToArray())];
        float[] origin = source.BaseModel is { } basis
            ? [.. basis.Tensor.Floats.Select(working.Round)]
            : new float[inputs[0].Length];
        float[][] v = [.. inputs.Select(x => x.Zip(origin, (a, b) => working.Round(a - b)).ToArray())];
        float[] weights = [.. models.Select(m => working.Round((float)source.Parameter(m, "weight", double.NaN)))];
        float sum = weights[0] + weights[1];
        float t = MathF.Abs(sum) < 1e-6f ? 0.5f : working.Round(weights[1] / working.Round(sum));

        var storage = source.OutDtype ?? MethodFormula.Storage(source);
        var values = new float[origin.Length];
        var decisions = new ulong[origin.Length];
        var shape = models[0].Tensor.Shape;
        bool flat = source.Parameters.GetValueOrDefault("nuslerp_flatten", 1) != 0 || shape.Count < 2;
        bool byColumn = source.Parameters.GetValueOrDefault("nuslerp_row_wise", 0) != 0;
        int columns = (int)(byColumn ? shape.Skip(1).Aggregate(1L, (a, b) => a * b) : shape.Count > 0 ? shape[^1] : 1);
        int VectorOf(int j) => flat ? 0 : byColumn ? j % columns : j / columns;
        foreach (var vector in Enumerable.Range(0, values.Length).GroupBy(VectorOf))
        {
            double angle = Angle([.. vector.Select(j => v[0][j])], [.. vector.Select(j => v[1][j])], working);
            double sine = Round(Math.Sin(angle), working);
            double first = Round(Math.Sin(Round(Round(1 - t, working) * angle, working)), working);
            double second = Round(Math.Sin(Round(t * angle, working)), working);
            bool isLine = sine < 1e-6;
            if (isLine)
                (first, second, sine) = (working.Round(1 - t), t, 1);
            foreach (int j in vector)
            {
                double terms = Round(Round(first * v[0][j], working) + Round(second * v[1][j], working), working);
                values[j] = storage.Round(working.Round(origin[j] + (float)Round(terms / sine, working)));
                decisions[j] = BitConverter.DoubleToUInt64Bits(angle);
            }
        }

        return new Reading(values, decisions);
    }

    private static double Angle(float[] a, float[] b, WorkingType working)
    {
        double normA = Math.Max(Norm(a), working.Round(1e-7f)), normB = Math.Max(Norm(b), working.Round(1e-7f));
        double cosine = a.Zip(b, (x, y) => Round(Round(x / normA, working) * Round(y / normB, working), working)).Sum();
        return Round(Math.Acos(Math.Clamp(Round(cosine, working), -1, 1)), working);

        double Norm(float[] x) => Round(Math.Sqrt(x.Sum(e => (double)e * e)), working);
    }

    private static double Round(double value, WorkingType working) =>
        working == WorkingType.F32 ? value : working.Round((float)value);
}
