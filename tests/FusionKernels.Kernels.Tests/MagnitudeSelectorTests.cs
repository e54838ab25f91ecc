using FsCheck;
using FsCheck.Fluent;

namespace FusionKernels.Kernels.Tests;

/// <summary>The selector against sorting, from any first bracket and with any sample.</summary>
public class MagnitudeSelectorTests
{
    private const uint NaN = 0x7FC0_0000, Infinity = 0x7F80_0000, Largest = 0x7FFF_FFFF;

    private static readonly uint[][] Awkward =
    [
        [0], [0, 0, 0, 0, 0], [Largest], [Largest, 0], [NaN, NaN, Infinity, 1, 0], [7, 7, 7, 7],
        [.. Enumerable.Repeat(0x3F80_0000u, 500), .. Enumerable.Repeat(0x3F80_0001u, 700)],
        [.. Enumerable.Repeat(0u, 900), .. Enumerable.Repeat(0x3A00_0000u, 900), 0x3A00_0001, 0x39FF_FFFF],
        [.. Enumerable.Range(0, 3000).Select(i => (uint)i)],
        [.. Enumerable.Range(0, 3000).Select(i => 0x3F00_0000u + ((uint)i * 0x7FFF))],
    ];

    [Test]
    public void Every_k_of_awkward_data_is_selected_within_two_passes([ValueSource(nameof(Awkward))] uint[] data)
    {
        for (int keep = 1; keep <= data.Length; keep += 1 + (data.Length / 40))
            AssertSelects(data, new MagnitudeSelector(keep), passes: 2);
        AssertSelects(data, new MagnitudeSelector(data.Length), passes: 2);
    }

    [Test]
    public void A_misleading_sample_costs_at_most_one_pass_and_never_exactness(
        [ValueSource(nameof(Awkward))] uint[] data)
    {
        uint[][] samples =
        [
            [], [0], [Largest], [.. Enumerable.Repeat(0u, 1000)], [.. Enumerable.Repeat(Largest, 1000)],
            [.. Enumerable.Repeat(1u, 1000)], [.. Enumerable.Repeat(0x3F80_0000u, 1000)],
            [.. Enumerable.Range(0, 1000).Select(i => (uint)i)], [.. Enumerable.Repeat(uint.MaxValue, 1000)],
        ];
        foreach (uint[] sample in samples)
        {
            foreach (int keep in new[] { 1, (data.Length / 2) + 1, data.Length })
                AssertSelects(data, MagnitudeSelector.FromSample(keep, data.Length, sample), passes: 3);
        }
    }

    [Test]
    public void Any_data_and_any_bracket_select_what_sorting_selects()
    {
        var magnitude = Gen.OneOf(
            Gen.Choose(0, int.MaxValue),
            Gen.Choose(0, 3),
            Gen.Elements((int)NaN, (int)Infinity, 0x3F80_0000, int.MaxValue))
            .Select(bits => (uint)bits);
        var cases =
            from data in magnitude.NonEmptyListOf()
            from keep in Gen.Choose(1, data.Count)
            from a in magnitude
            from b in magnitude
            select (Data: data.ToArray(), Keep: keep, Low: Math.Min(a, b), High: Math.Max(a, b));
        Check.One(
            Config.QuickThrowOnFailure.WithReplay(1, 3).WithMaxTest(300),
            Prop.ForAll(cases.ToArbitrary(), c => AssertSelects(
                c.Data, new MagnitudeSelector(c.Keep, c.Low, c.High), passes: 3)));
    }

    [Test]
    public void Any_sample_selects_what_sorting_selects()
    {
        var magnitude = Gen.Choose(0, int.MaxValue).Select(bits => (uint)bits);
        var cases =
            from data in magnitude.NonEmptyListOf()
            from sample in magnitude.ListOf()
            from keep in Gen.Choose(1, data.Count)
            select (Data: data.ToArray(), Sample: sample.ToArray(), Keep: keep);
        Check.One(
            Config.QuickThrowOnFailure.WithReplay(2, 5).WithMaxTest(300),
            Prop.ForAll(cases.ToArbitrary(), c => AssertSelects(
                c.Data, MagnitudeSelector.FromSample(c.Keep, c.Data.Length, c.Sample), passes: 3)));
    }

    // So near the top the sample gives no upper border, and the wide bracket's bins hold many magnitudes.
    [TestCase(0.001, 2)]
    [TestCase(0.2, 1)]
    [TestCase(0.5, 1)]
    [TestCase(0.999, 1)]
    public void A_fair_sample_gives_a_bracket_with_few_elements_that_holds_the_target(double share, int passes)
    {
        // Differences of bf16-like numbers: multiples of 2^-12, so few magnitudes, and a bin of a narrow bracket holds
        // one.
        var random = new Random(11);
        var values = Enumerable.Range(0, 200_000).Select(_ => (float)Math.Round(Gauss(random) * 4096) / 4096);
        uint[] data = [.. values.Select(Bits)];
        uint[] sample = [.. data.Where((_, i) => i % 25 == 0)];
        int keep = Math.Max(1, (int)(share * data.Length));
        var selector = MagnitudeSelector.FromSample(keep, data.Length, sample);
        MagnitudeHistogram bracket = selector.NextPass();
        int inside = data.Count(bits => bits >= bracket.Low && bits <= bracket.High);
        Assert.That(inside, Is.LessThan(0.08 * data.Length));
        AssertSelects(data, selector, passes);
    }

    [Test]
    public void A_full_range_pass_decides_at_once_where_the_bin_holds_one_magnitude()
    {
        uint[] data = [.. Enumerable.Range(0, 5000).Select(i => Bits((i % 100) / 256f))];
        AssertSelects(data, new MagnitudeSelector(1234), passes: 1);
    }

    [Test]
    public void More_than_there_are_is_refused([Values(0u, 10u, Largest)] uint low)
    {
        var selector = new MagnitudeSelector(6, low);
        Assert.Throws<InvalidOperationException>(() => Run(selector, [1, 2, 3, Largest, 0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => MagnitudeSelector.FromSample(6, 5, []));
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new MagnitudeSelector(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new MagnitudeSelector(1, 5, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new MagnitudeSelector(1, 0, 0x8000_0000));
    }

    [Test]
    public void Counts_of_another_bracket_and_passes_after_the_last_are_refused()
    {
        var selector = new MagnitudeSelector(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => selector.Absorb(new MagnitudeHistogram(0, 5)));
        Run(selector, [3]);
        Assert.Throws<InvalidOperationException>(() => selector.NextPass());
    }

    private static void AssertSelects(uint[] data, MagnitudeSelector selector, int passes)
    {
        int used = Run(selector, data);
        uint[] sorted = [.. data.OrderDescending()];
        uint threshold = sorted[selector.Keep - 1];
        long above = data.LongCount(bits => bits > threshold);
        Assert.That(selector.ThresholdBits, Is.EqualTo(threshold), $"k = {selector.Keep}");
        Assert.That(selector.TiesKept, Is.EqualTo(selector.Keep - above));
        Assert.That(selector.Ties, Is.EqualTo(data.LongCount(bits => bits == threshold)));
        Assert.That(used, Is.LessThanOrEqualTo(passes), "passes");
    }

    // Two workers per pass.
    private static int Run(MagnitudeSelector selector, uint[] data)
    {
        int passes = 0;
        for (; !selector.Done; passes++)
        {
            MagnitudeHistogram total = selector.NextPass(), other = selector.NextPass();
            for (int i = 0; i < data.Length; i++)
                (i % 3 == 0 ? other : total).Count(data[i]);
            total.Add(other);
            selector.Absorb(total);
            Assert.That(passes, Is.LessThan(5), "does not converge");
        }

        return passes;
    }

    private static uint Bits(float value) => BitConverter.SingleToUInt32Bits(MathF.Abs(value));

    private static double Gauss(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble());
}
