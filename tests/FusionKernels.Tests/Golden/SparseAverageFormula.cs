namespace FusionKernels.Tests.Golden;

/// <summary>
/// ram and ramplus_tl as scalar code: changes beyond epsilon count; those of one model are added whole (times lambda_i
/// in ramplus_tl), those of several are averaged.
/// </summary>
internal static class SparseAverageFormula
{
    /// <summary>Whether this is the formula of a case's method.</summary>
    public static bool Covers(TensorCase source) => source.Method is "ram" or "ramplus_tl";

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">Every step is rounded to it.</param>
    public static Reading Read(TensorCase source, WorkingType working)
    {
        float[] origin = source.BaseModel!.Tensor.Floats;
        float[][] deltas =
            [.. source.Experts.Select(m => m.Tensor.Floats.Zip(origin, (x, b) => working.Round(x - b)).ToArray())];
        float epsilon = working.Round((float)source.Parameters.GetValueOrDefault("epsilon", 1e-5));
        var storage = source.OutDtype ?? MethodFormula.Storage(source);
        bool[][] changed = [.. deltas.Select(d => d.Select(v => MathF.Abs(v) > epsilon).ToArray())];
        int[] count = [.. origin.Select((_, j) => changed.Count(c => c[j]))];
        float[] gains = [.. changed.Select(c => Gain(source, c, count))];
        var values = new float[origin.Length];
        var decisions = new ulong[origin.Length];
        for (int j = 0; j < origin.Length; j++)
        {
            float own = 0, shared = 0;
            for (int i = 0; i < deltas.Length; i++)
            {
                decisions[j] |= changed[i][j] ? 1ul << i : 0;
                own += Masked(deltas[i][j], changed[i][j] && count[j] == 1) * gains[i];
                shared += Masked(deltas[i][j], changed[i][j] && count[j] > 1);
            }

            values[j] = storage.Round(origin[j] + own + (shared / Math.Max(1, count[j])));
        }

        return new Reading(values, decisions);

        // A mask is a factor, so that a masked infinity gives NaN.
        static float Masked(float value, bool counts) => value * (counts ? 1 : 0);
    }

    private static float Gain(TensorCase source, bool[] changed, int[] count)
    {
        if (source.Method == "ram")
            return 1;
        int shared = changed.Zip(count).Count(e => e is { First: true, Second: > 1 });
        int unique = changed.Zip(count).Count(e => e is { First: true, Second: 1 });
        double ratio = shared / Math.Max(unique, source.Parameters.GetValueOrDefault("epsilon", 1e-5));
        double r = source.Parameters.GetValueOrDefault("r", 0.1);
        double alpha = source.Parameters.GetValueOrDefault("alpha", 0.2);
        return (float)(1 + (r * Math.Clamp(ratio, 0, alpha)));
    }
}
