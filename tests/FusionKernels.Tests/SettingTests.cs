using FusionKernels.Recipes;

namespace FusionKernels.Tests;

public class SettingTests
{
    [TestCase(0.0, 0.0)]
    [TestCase(0.5, 0.3)]
    [TestCase(1.0, 1.0)]
    [TestCase(0.125, 0.25)]
    public void A_gradient_interpolates_over_the_layers(double t, double expected) =>
        Assert.That(Setting.Gradient(0, 0.5, 0.3, 0.7, 1).Evaluate("x", t), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void The_first_filter_that_matches_wins_and_none_gives_no_value()
    {
        var setting = new Setting([new SettingEntry("mlp", [1], null), new SettingEntry("up_proj", [2], null)]);
        Assert.Multiple(() =>
        {
            Assert.That(setting.Evaluate("mlp.up_proj", 0), Is.EqualTo(1));
            Assert.That(setting.Evaluate("attn.up_proj", 0), Is.EqualTo(2));
            Assert.That(setting.Evaluate("norm", 0), Is.Null);
            Assert.That(setting.Evaluate("MLP", 0), Is.Null);
        });
    }

    [Test]
    public void A_word_is_no_number() =>
        Assert.That(() => Setting.Choice("paper").Evaluate("x", 0), Throws.TypeOf<FormatException>());
}
