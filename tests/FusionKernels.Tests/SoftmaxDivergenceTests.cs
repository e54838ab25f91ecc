using System.Runtime.Intrinsics;
using FusionKernels.Execution;
using NUnit.Framework;

namespace FusionKernels.Tests;

internal sealed class SoftmaxDivergenceTests
{
    private const double TwoUnits = 2.0 / (1L << 52);

    [Test]
    public void Exponentials_of_all_sizes_are_within_two_units_of_the_last_place()
    {
        var random = new Random(1);
        for (int i = 0; i < 200_000; i++)
        {
            double x = -Math.Exp((random.NextDouble() * 43) - 36.5);
            if (x > -700)
                Assert.That(Exp(x), Is.EqualTo(Math.Exp(x)).Within(TwoUnits * Math.Exp(x)), $"exp {x:R}");
        }
    }

    [TestCase(0, 1)]
    [TestCase(-0.0, 1)]
    [TestCase(-1e-300, 1)]
    [TestCase(double.NaN, double.NaN)]
    public void Exponentials_of_special_values_are_exact(double x, double expected) =>
        Assert.That(Exp(x), Is.EqualTo(expected));

    [TestCase(-708)]
    [TestCase(-1e5)]
    [TestCase(-double.MaxValue)]
    [TestCase(double.NegativeInfinity)]
    public void What_is_too_small_is_as_good_as_zero(double x) => Assert.That(Exp(x), Is.InRange(0, 1e-300));

    [Test]
    public void Logarithms_of_all_sizes_are_within_two_units_of_the_last_place()
    {
        var random = new Random(2);
        for (int i = 0; i < 200_000; i++)
        {
            double offset = Math.Exp((random.NextDouble() * 57) - 36) * (i % 2 == 0 ? 1 : -0.7);
            double x = i % 3 == 0 ? Math.Exp((random.NextDouble() * 60) - 30) : Math.Max(1e-9, 1 + offset);
            Assert.That(Log(x), Is.EqualTo(Math.Log(x)).Within(TwoUnits * Math.Abs(Math.Log(x))), $"ln {x:R}");
        }
    }

    [TestCase(1, 0)]
    [TestCase(double.NaN, double.NaN)]
    public void Logarithms_of_special_values_are_exact(double x, double expected) =>
        Assert.That(Log(x), Is.EqualTo(expected));

    private static double Exp(double x) => SoftmaxDivergence.Exp(Vector512.Create(x))[3];

    private static double Log(double x) => SoftmaxDivergence.Log(Vector512.Create(x))[5];
}
