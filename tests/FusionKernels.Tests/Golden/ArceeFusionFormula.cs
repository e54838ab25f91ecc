namespace FusionKernels.Tests.Golden;

/// <summary>arcee_fusion as scalar code. Its decision per element: whether the model's value is taken.</summary>
internal static class ArceeFusionFormula
{
    /// <summary>Whether this is the formula of a case's method.</summary>
    public static bool Covers(TensorCase source) => source.Method == "arcee_fusion";

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">Every step is rounded to it; in f32 the divergences are computed in doubles.</param>
    public static Reading Read(TensorCase source, WorkingType working)
    {
        var (origin, other) = (source.BaseModel!.Tensor, source.Experts.Single().Tensor);

        // Embeddings of different vocabularies are cut to their common rows, which come first.
        int n = Math.Min(origin.Values.Length, other.Values.Length), columns = (int)origin.Shape[^1];
        float[] a = [.. origin.Floats.Take(n).Select(working.Round)];
        float[] b = [.. other.Floats.Take(n).Select(working.Round)];
        float[] changes = [.. b.Zip(a, (y, x) => working.Round(y - x))];
        float[] divergences = [.. a.Chunk(columns).Zip(b.Chunk(columns), (x, y) => Divergence(y, x, working))];
        float[] importances = [.. changes.Select((c, j) => working.Round(MathF.Abs(c) * divergences[j / columns]))];
        float threshold = Threshold(importances, working);

        var storage = source.OutDtype ?? MethodFormula.Storage(source);
        bool[] taken = [.. importances.Select(i => i >= threshold)];
        float[] values = [.. a.Select((x, j) => storage.Round(x + (changes[j] * (taken[j] ? 1 : 0))))];
        return new Reading(values, [.. taken.Select(t => t ? 1ul : 0)]);
    }

    /// <summary>Median + 1.5 (q3 - q1), each quantile an element.</summary>
    private static float Threshold(float[] importances, WorkingType working)
    {
        // NaN is largest.
        float[] sorted = [.. importances.OrderBy(i => float.IsNaN(i) ? double.MaxValue : i)];
        float[] quartiles = [.. new[] { 0.25f, 0.5f, 0.75f }.Select(f => sorted[(int)(f * (sorted.Length - 1))])];
        float range = working.Round(quartiles[2] - quartiles[0]);
        return working.Round(quartiles[1] + working.Round(1.5f * range));
    }

    /// <summary>sum p ln(p / q), p and q the softmax of each row + 1e-8.</summary>
    private static float Divergence(float[] model, float[] origin, WorkingType working)
    {
        double[] p = Softmax(model, working), q = Softmax(origin, working);
        if (working == WorkingType.F32)
            return (float)Math.Max(0, p.Zip(q, (x, y) => x * Math.Log(x / y)).Sum());
        return working.Round((float)p.Zip(q, (x, y) =>
        {
            float logarithm = working.Round(MathF.Log(working.Round((float)(x / y))));
            return (double)working.Round((float)x * logarithm);
        }).Sum());
    }

    private static double[] Softmax(float[] logits, WorkingType working)
    {
        double largest = logits.Max(), sum = logits.Sum(v => Math.Exp(v - largest));
        double[] exact = [.. logits.Select(v => Math.Exp(v - largest) / sum)];
        return working == WorkingType.F32
            ? [.. exact.Select(v => v + 1e-8)]
            : [.. exact.Select(v => (double)working.Round(working.Round((float)v) + 1e-8f))];
    }
}
