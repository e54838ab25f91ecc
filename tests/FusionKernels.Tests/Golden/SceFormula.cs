namespace FusionKernels.Tests.Golden;

/// <summary>
/// sce as scalar code. Its decisions per element: bit 0 whether it is selected, bit 1 the elected sign, then a bit per
/// model, whether it agrees.
/// </summary>
internal static class SceFormula
{
    /// <summary>Whether this is the formula of a case's method.</summary>
    public static bool Covers(TensorCase source) => source.Method == "sce";

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">Every step is rounded to it.</param>
    /// <param name="turned">Not 0: elements that tie at the border of the selection are decided the other way.</param>
    public static Reading Read(TensorCase source, WorkingType working, int turned)
    {
        float[] origin = [.. source.BaseModel!.Tensor.Floats.Select(working.Round)];
        float[][] deltas = [.. source.Experts.Select(m =>
            m.Tensor.Floats.Zip(origin, (x, b) => working.Round(working.Round(x) - b)).ToArray())];
        bool[] selected = Select(source, working, deltas, turned != 0);
        foreach (float[] delta in deltas)
        {
            for (int j = 0; j < delta.Length; j++)
                delta[j] *= selected[j] ? 1 : 0;
        }

        float[] weights = [.. deltas.Select(d => working.Round((float)d.Average(v => (double)working.Round(v * v))))];
        float sum = working.Round(weights.Sum()), floor = working.Round(1e-6f);
        weights = [.. weights.Select(w => working.Round(MathF.Abs(sum) < floor ? 1f / weights.Length : w / sum))];

        var storage = source.OutDtype ?? MethodFormula.Storage(source);
        var values = new float[origin.Length];
        var decisions = new ulong[origin.Length];
        for (int j = 0; j < origin.Length; j++)
        {
            bool positive = working.Round(deltas.Sum(d => d[j])) >= 0;
            decisions[j] = (selected[j] ? 1ul : 0) | (positive ? 2ul : 0);
            float merged = 0, divisor = 0;
            for (int i = 0; i < deltas.Length; i++)
            {
                bool agrees = positive ? deltas[i][j] > 0 : deltas[i][j] < 0;
                decisions[j] |= agrees ? 4ul << i : 0;
                merged += working.Round(working.Round(deltas[i][j] * weights[i]) * (agrees ? 1 : 0));
                divisor += working.Round(weights[i] * (agrees ? 1 : 0));
            }

            merged = working.Round(working.Round(merged) / MathF.Max(working.Round(divisor), floor));
            values[j] = storage.Round(working.Round(origin[j] + merged));
        }

        return new Reading(values, decisions);
    }

    /// <summary>The largest variances, their number a product in fp32; all where the whole is selected.</summary>
    private static bool[] Select(TensorCase source, WorkingType working, float[][] deltas, bool turnsTies)
    {
        int n = deltas.Length == 0 ? source.BaseModel!.Tensor.Values.Length : deltas[0].Length;
        double share = source.Parameters.GetValueOrDefault("select_topk", 1);
        if (share >= 1)
            return [.. Enumerable.Repeat(true, n)];
        float[] variances = [.. Enumerable.Range(0, n).Select(j =>
        {
            double mean = deltas.Average(d => (double)d[j]);
            return working.Round((float)deltas.Average(d => (d[j] - mean) * (d[j] - mean)));
        })];
        int keep = (int)(variances.Count(v => v != 0) * (float)share);
        var selected = new bool[n];

        // NaN is largest.
        int[] order = [.. Enumerable.Range(0, n)
            .OrderByDescending(j => float.IsNaN(variances[j]) ? double.MaxValue : variances[j])];
        foreach (int j in order.Take(keep))
            selected[j] = true;
        if (!turnsTies || keep == 0 || keep == n || variances[order[keep - 1]] != variances[order[keep]])
            return selected;
        float border = variances[order[keep]];
        return [.. selected.Select((s, j) => s ^ (variances[j] == border))];
    }
}
