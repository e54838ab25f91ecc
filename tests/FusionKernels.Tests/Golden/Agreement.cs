using System.Globalization;

namespace FusionKernels.Tests.Golden;

/// <summary>How computed elements are compared with expected ones.</summary>
internal static class Agreement
{
    /// <summary>The largest error allowed: a fraction of the largest finite magnitude expected.</summary>
    public static double Bound(IEnumerable<double> expected, double tolerance) =>
        tolerance * expected.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();

    /// <summary>
    /// The largest error allowed in a type: its tolerance, which is a number of half units in the last place of the
    /// largest magnitude. In the subnormal range such a unit does not shrink further.
    /// </summary>
    public static double Bound(IEnumerable<double> expected, WorkingType type) =>
        Math.Max(Bound(expected, type.Tolerance), type.Tolerance * type.SmallestNormal);

    /// <summary>Whether two elements agree: within the bound, both NaN, or the same infinity.</summary>
    public static bool Agrees(double expected, double actual, double bound) =>
        double.IsNaN(expected) ? double.IsNaN(actual)
        : double.IsInfinity(expected) ? actual == expected
        : Math.Abs(expected - actual) <= bound;

    /// <summary>The indices at which two tensors disagree.</summary>
    public static int[] Disagreements(IReadOnlyList<double> expected, IReadOnlyList<double> actual, double bound) =>
        [.. Enumerable.Range(0, expected.Count).Where(i => !Agrees(expected[i], actual[i], bound))];

    /// <summary>What is wrong with a tensor, or <c>null</c>.</summary>
    public static string? Disagreement(
        IReadOnlyList<double> expected, IReadOnlyList<double> actual, double bound, string what)
    {
        if (actual.Count != expected.Count)
            return $"{what}: {actual.Count} elements instead of {expected.Count}";
        int[] wrong = Disagreements(expected, actual, bound);
        return wrong.Length == 0 ? null : Describe(expected, actual, wrong, bound, what);
    }

    /// <summary>Asserts that all elements agree within a fraction of the largest.</summary>
    public static void Assert(
        IReadOnlyList<double> expected, IReadOnlyList<double> actual, double tolerance, string what)
    {
        string? disagreement = Disagreement(expected, actual, Bound(expected, tolerance), what);
        NUnit.Framework.Assert.That(disagreement, Is.Null, disagreement ?? "");
    }

    /// <summary>One line about the elements that disagree.</summary>
    public static string Describe(
        IReadOnlyList<double> expected, IReadOnlyList<double> actual, int[] wrong, double bound, string what) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {wrong.Length} of {expected.Count} elements, bound {bound:G3}; first at {wrong[0]}: "
            + $"expected {expected[wrong[0]]:R}, is {actual[wrong[0]]:R}");
}
