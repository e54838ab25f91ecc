namespace FusionKernels.Tests.Golden;

/// <summary>linear as scalar code. It takes no decisions; rounding each step can overflow.</summary>
internal static class WeightedMeanFormula
{
    /// <summary>Whether this is the formula of a case's method.</summary>
    public static bool Covers(TensorCase source) => source.Method == "linear";

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">Every step is rounded to it.</param>
    public static Reading Read(TensorCase source, WorkingType working)
    {
        float[] weights = [.. source.Models.Select(m => working.Round((float)source.Parameter(m, "weight", 1)))];
        float divisor = source.Parameters.GetValueOrDefault("normalize", 1) == 0 ? 1 : working.Round(weights.Sum());

        var storage = source.OutDtype ?? MethodFormula.Storage(source);

        // Embeddings of different vocabularies are cut to their common rows, which come first.
        var values = new float[source.Models.Min(m => m.Tensor.Values.Length)];
        for (int j = 0; j < values.Length; j++)
        {
            float sum = 0;
            for (int i = 0; i < weights.Length; i++)
                sum += working.Round(weights[i] * source.Models[i].Tensor.Floats[j]);
            values[j] = storage.Round(working.Round(working.Round(sum) / divisor));
        }

        return new Reading(values, new ulong[values.Length]);
    }
}
