using FusionKernels.Kernels;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// The merge formulas of one tensor: scalar, double, unrounded, all weights 1. They judge what the benchmark timed.
/// </summary>
internal static class ScalarMerge
{
    /// <summary>A formula: a tensor's name, its base and its experts in, the merged tensor out.</summary>
    public delegate double[] Formula(string tensor, float[] origin, float[][] experts);

    /// <summary>The first expert.</summary>
    public static double[] Passthrough(string tensor, float[] origin, float[][] experts) =>
        [.. experts[0].Select(x => (double)x)];

    /// <summary>The mean of the experts.</summary>
    public static double[] Linear(string tensor, float[] origin, float[][] experts) =>
        [.. origin.Select((_, i) => experts.Average(x => (double)x[i]))];

    /// <summary>The base plus all deltas.</summary>
    public static double[] TaskArithmetic(string tensor, float[] origin, float[][] experts) =>
        Sum(origin, Deltas(origin, experts));

    /// <summary>
    /// TIES: trim each delta to trunc(density n), of equal magnitudes the lower index; elect; mean of what agrees.
    /// </summary>
    public static Formula Ties(double density) => (_, origin, experts) =>
    {
        double[][] deltas = Deltas(origin, experts);
        foreach (double[] delta in deltas)
        {
            int[] indices = [.. Enumerable.Range(0, delta.Length)];
            int[] byMagnitude = [.. indices.OrderByDescending(i => Math.Abs(delta[i])).ThenBy(i => i)];
            foreach (int dropped in byMagnitude[(int)(density * delta.Length)..])
                delta[dropped] = 0;
        }

        return [.. origin.Select((b, i) => b + Agreeing(deltas, i).DefaultIfEmpty().Average())];
    };

    /// <summary>DARE: drop elements of each delta at random, restore its L1 norm; sum.</summary>
    public static Formula DareLinear(double density) => (tensor, origin, experts) =>
        Sum(origin, Dropped(tensor, Deltas(origin, experts), density));

    /// <summary>DARE, then the sum of what agrees with the elected sign.</summary>
    public static Formula DareTies(double density) => (tensor, origin, experts) =>
    {
        double[][] deltas = Dropped(tensor, Deltas(origin, experts), density);
        return [.. origin.Select((b, i) => b + Agreeing(deltas, i).Sum())];
    };

    private static double[][] Deltas(float[] origin, float[][] experts) =>
        [.. experts.Select(x => x.Zip(origin, (e, b) => (double)e - b).ToArray())];

    private static double[] Sum(float[] origin, double[][] deltas) =>
        [.. origin.Select((b, i) => b + deltas.Sum(d => d[i]))];

    // The sign of the sum is elected, plus if it is zero; zeros agree with no sign.
    private static IEnumerable<double> Agreeing(double[][] deltas, int i)
    {
        bool positive = deltas.Sum(d => d[i]) >= 0;
        return deltas.Select(d => d[i]).Where(d => positive ? d > 0 : d < 0);
    }

    // The masks of the library's random contract with seed 0; the scale is |delta| over |kept|.
    private static double[][] Dropped(string tensor, double[][] deltas, double density)
    {
        uint threshold = (uint)Math.Ceiling(Math.ScaleB(1 - density, 24));
        return [.. deltas.Select((delta, ordinal) =>
        {
            var random = Philox.ForTensor(0, tensor, ordinal);
            double[] kept = [.. delta.Select((d, i) => random.Word(i) >> 8 < threshold ? 0 : d)];
            double scale = delta.Sum(Math.Abs) / kept.Sum(Math.Abs);
            return kept.Select(d => d * scale).ToArray();
        })];
    }
}
