using System.Reflection;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Rules on values worked by hand: the papers' small examples (float64 results, so within an ulp or two of fp32) and
/// the corner cases of mergekit's arithmetic.
/// </summary>
public sealed unsafe class RuleTests
{
    private static readonly float[][] Deltas =
    [
        [0.5f, -0.2f, 0, 0.9f, -0.1f, 0.3f, -0.7f, 0.05f],
        [-0.4f, -0.6f, 0.2f, 0.1f, 0, 0.3f, 0.8f, -0.05f],
        [0.1f, 0.1f, -0.3f, 0.4f, -0.2f, -0.9f, 0.1f, 0],
    ];

    private static readonly float[][] Trimmed =
    [
        [0.5f, -0.2f, 0, 0.9f, 0, 0.3f, -0.7f, 0],
        [-0.4f, -0.6f, 0.2f, 0, 0, 0.3f, 0.8f, 0],
        [0.1f, 0.1f, -0.3f, 0.4f, -0.2f, -0.9f, 0.1f, 0],
    ];

    [Test]
    public void Ties_merges_the_trimmed_task_vectors_by_mean_sum_and_maximum()
    {
        Source[] sources(TestTensors tensors) => Models(tensors, Trimmed);
        AssertMerges(new DisjointMerge(1, Normalize: true), sources,
            [0.3f, -0.4f, -0.3f, 0.65f, -0.2f, -0.9f, 0.45f, 0]);
        AssertMerges(new DisjointMerge(1, Normalize: false), sources,
            [0.6f, -0.8f, -0.3f, 1.3f, -0.2f, -0.9f, 0.9f, 0]);
        AssertMerges(new DisjointMax(1, ZeroElectsNegative: false), sources,
            [0.5f, -0.6f, -0.3f, 0.9f, -0.2f, -0.9f, 0.8f, 0]);
    }

    [Test]
    public void Emr_unifies_the_task_vectors_and_an_exact_zero_elects_minus() => AssertMerges(
        new DisjointMax(1, ZeroElectsNegative: true),
        tensors => Models(tensors, Deltas),
        [0.5f, -0.6f, -0.3f, 0.9f, -0.2f, -0.9f, 0.8f, -0.05f]);

    [Test]
    public void Emr_leaves_a_model_its_part_where_it_has_the_elected_sign()
    {
        AssertMerges(
            new ElectedPart(1, OnBase: false),
            tensors => Models(tensors, Deltas, 1, 0, 0),
            [0.5f, -0.6f, 0, 0.9f, -0.2f, 0, 0, 0]);
        AssertMerges(
            new ElectedPart(2, OnBase: false),
            tensors => Models(tensors, Deltas, 0, 1, 0),
            [0, -1.2f, 0, 1.8f, 0, 0, 1.6f, -0.1f]);
        AssertMerges(
            new ElectedPart(1, OnBase: false),
            tensors => Models(tensors, [[1e-30f, float.NaN, 1], [2e-30f, 1, float.NaN]], 1, 0),
            [2e-30f, float.NaN, float.NaN]);
    }

    [Test]
    public void Dare_drops_and_rescales_before_the_sum()
    {
        byte[] keep = [0b1010_1101, 0b0111_0110, 0b1100_1011];
        AssertMerges(
            new TaskArithmetic(1, 1),
            tensors =>
            {
                Source[] sources = Models(tensors, Deltas);
                for (int model = 0; model < 3; model++)
                    sources[model] = sources[model] with { Mask = tensors.Bits([keep[model]]), Scale = 2 };
                return sources;
            },
            [1.2f, -1, 0.4f, 2.6f, 0, 1.2f, 1.8f, 0.1f]);
    }

    [Test]
    public void Cancelling_values_elect_plus_and_only_the_positive_one_counts() =>
        AssertMerges(new DisjointMerge(1, true), tensors => Models(tensors, [[0.5f], [-0.5f]]), [0.5f]);

    [Test]
    public void A_trimmed_value_does_not_count_in_the_divisor() => AssertMerges(
        new DisjointMerge(1, true), tensors => Models(tensors, [[0.4f], [0]], 0.5f, 0.25f), [0.4f]);

    [Test]
    public void A_zero_sum_of_agreeing_weights_counts_as_one() => AssertMerges(
        new DisjointMerge(1, true), tensors => Models(tensors, [[0.4f], [-0.1f]], 1, -1), [0.5f]);

    [Test]
    public void Models_that_all_agree_on_zero_give_the_base() => AssertMerges(
        new DisjointMerge(1, true), tensors => Models(tensors, [[0, -0f], [0, 0]]), [0, 0]);

    [Test]
    public void A_weighted_sum_is_divided_by_its_divisor() => AssertMerges(
        new WeightedSum(4), tensors => Models(tensors, [[2, 8], [4, 0]], 1, 3), [3.5f, 2]);

    [Test]
    public void The_elected_sign_is_counted_from_zero() => AssertMerges(
        default(ElectedSign), tensors => Models(tensors, [[1, 1, -2, float.NaN], [-1, 1, 1, 0]]), [1, 2, 0, 0]);

    [Test]
    public void Variances_are_taken_around_the_first_model_which_is_the_base() => AssertMerges(
        new ModelVariance(3), tensors => Models(tensors, [[0, 3, -1, 2e-20f], [0, 0, 1, 1e-20f]]), [0, 2, 2 / 3f, 0]);

    [Test]
    public void Variances_do_not_depend_on_the_order_of_coarse_values()
    {
        float[][] orders = [[1, 2, 7], [7, 2, 1], [2, 1, 7], [2, 7, 1]];
        foreach (float[] x in orders)
            AssertMerges(new ModelVariance(3), t => Models(t, [[x[1] - x[0]], [x[2] - x[0]]]), [62 / 9f]);
    }

    [Test]
    public void The_majority_is_elected_without_weights_and_averaged_with_them() => AssertMerges(
        new MajorityMean(1e-6f),
        tensors => Models(tensors, [[1, 1, 3, 0, -1], [-3, 2, -3, 0, 0], [1, 0, 0, 0, 3]], 0.5f, 0.25f, 0.25f),
        [-3, 4 / 3f, 3, 0, 3]);

    [Test]
    public void Small_sums_of_weights_are_raised_to_the_floor() => AssertMerges(
        new MajorityMean(0.5f), tensors => Models(tensors, [[2], [-1]], 0.25f, 0.75f), [1]);

    [Test]
    public void Infinite_majorities_stay_and_a_weight_that_is_NaN_spoils_every_element()
    {
        const float Infinity = float.PositiveInfinity;
        AssertMerges(
            new MajorityMean(1e-6f),
            tensors => Models(tensors, [[Infinity, Infinity, float.NaN], [1, -Infinity, 1]], 0.5f, 0.5f),
            [Infinity, float.NaN, float.NaN]);
        AssertMerges(
            new MajorityMean(1e-6f), tensors => Models(tensors, [[0, 1], [1, -2]], float.NaN, 1), [float.NaN, float.NaN]);
    }

    [Test]
    public void Importance_is_the_size_of_a_change_times_the_weight_of_its_row() => AssertMerges(
        default(Importance), tensors => Models(tensors, [[-2, 0.5f, 0]], 3), [6, 1.5f, 0]);

    [Test]
    public void A_change_is_taken_from_the_threshold_on() => AssertMerges(
        new ImportantChange(6), tensors => Models(tensors, [[-2, 1.5f, 3, float.NaN]], 3), [-2, 0, 3, float.NaN]);

    [Test]
    public void Infinities_of_one_sign_stay_and_everything_undefined_becomes_NaN()
    {
        const float Infinity = float.PositiveInfinity;
        Source[] sources(TestTensors tensors) => Models(
            tensors,
            [[Infinity, -Infinity, Infinity, float.NaN, 1, Infinity], [1, 1, -Infinity, 1, float.NaN, Infinity]]);
        float[] expected = [Infinity, -Infinity, float.NaN, float.NaN, float.NaN, Infinity];
        foreach (bool zeroElectsNegative in new[] { false, true })
        {
            AssertMerges(new DisjointMerge(1, true, zeroElectsNegative), sources, expected);
            AssertMerges(new DisjointMerge(1, false, zeroElectsNegative), sources, expected);
            AssertMerges(new DisjointMax(1, zeroElectsNegative), sources, expected);
        }

        AssertMerges(new ElectedPart(1, OnBase: false), sources, expected);
    }

    [Test]
    public void Parameters_have_a_size_that_every_device_knows()
    {
        var rules = typeof(ICombineRule).Assembly.GetTypes().Where(t => t.IsValueType && t.IsAssignableTo(typeof(ICombineRule)));
        var fields = rules.SelectMany(r => r.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic));
        Assert.That(fields.Select(f => f.FieldType).Distinct(), Is.SubsetOf(new[] { typeof(float), typeof(int), typeof(Flag) }));
    }

    private static Source[] Models(TestTensors tensors, float[][] values, params float[] weights) =>
    [
        .. values.Select((data, model) =>
            new Source(tensors.Copy(data)) { Weight = weights.Length == 0 ? 1 : weights[model] }),
    ];

    private static void AssertMerges<TRule>(TRule rule, Func<TestTensors, Source[]> sources, float[] expected)
        where TRule : struct, ICombineRule
    {
        using var tensors = new TestTensors(0);
        Source[] models = sources(tensors);
        Operand output = tensors.New(ElementType.F32, expected.Length);
        foreach (int width in Backends.Widths.Append(0))
        {
            using IKernelStream stream = width == 0 ? Backends.Reference.OpenStream() : Backends.OpenCpu(width);
            stream.Combine(new() { First = 0, Length = expected.Length, Sources = models }, rule, output);
            float[] actual = new ReadOnlySpan<float>((void*)output.Address, expected.Length).ToArray();
            Assert.That(actual, Is.EqualTo(expected).Within(3e-7f), $"{rule} on {stream}");
        }
    }
}
