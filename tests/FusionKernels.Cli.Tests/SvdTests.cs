using System.Runtime.InteropServices;
using System.Text.Json;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary><c>fusion svd</c> as a user runs it.</summary>
public sealed class SvdTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_delta_of_known_rank_has_its_singular_values()
    {
        // 3 e_2 f_5^T + 4 e_7 f_1^T beside a bias and a tensor that did not change.
        var changed = new float[20 * 30];
        (changed[(2 * 30) + 5], changed[(7 * 30) + 1]) = (3, 4);
        Write("base", new float[20 * 30]);
        Write("expert", changed);
        JsonElement[] tensors = [.. Tool.Run("svd", _folder["base"], _folder["expert"], "--ranks", "2,1", "--json")
            .Succeeds().Json.GetProperty("tensors").EnumerateArray()];
        Assert.That(tensors.Select(t => t.GetProperty("name").GetString()), Is.EquivalentTo(["same", "weight"]));
        JsonElement weight = tensors.Single(t => t.GetProperty("name").GetString() == "weight");
        Assert.That(Numbers(weight, "values"), Is.EqualTo([4.0, 3.0]).Within(1e-5));
        Assert.That(weight.GetProperty("norm").GetDouble(), Is.EqualTo(5).Within(1e-9));
        Assert.That(weight.GetProperty("stable_rank").GetDouble(), Is.EqualTo(25.0 / 16).Within(1e-5));
        Assert.That(Shares(weight), Is.EqualTo([16.0 / 25, 1]).Within(1e-5));
        JsonElement same = tensors.Single(t => t.GetProperty("name").GetString() == "same");
        Assert.That(same.GetProperty("stable_rank").GetDouble(), Is.Zero);

        string text = Tool.Run("svd", _folder["base"], _folder["expert"], "--ranks", "1,2").Succeeds().Out;
        Assert.That(text, Does.Match(@"(?m)^tensor .*energy at 1 +energy at 2$"));
        Assert.That(text, Does.Match(@"(?m)^weight +\[20, 30\] +4 3 +1\.56\d* +64\.0 % +100\.0 %$"));
    }

    [Test]
    public void An_expert_of_the_digits_has_its_energy_in_growing_shares()
    {
        string left = Path.Combine(Tool.Digits, "base"), right = Path.Combine(Tool.Digits, "expert_rot90");
        var document = Tool.Run("svd", left, right, "--json").Succeeds().Json;
        foreach (JsonElement tensor in document.GetProperty("tensors").EnumerateArray())
        {
            Assert.That(Shares(tensor), Has.Length.EqualTo(5).And.Ordered.And.All.InRange(0.01, 1));
            Assert.That(Numbers(tensor, "values"), Is.Ordered.Descending);
        }
    }

    [Test]
    public void Figures_of_a_sketch_are_marked()
    {
        var random = new Random(1);
        Write("base", new float[300 * 20]);
        Write("expert", [.. Enumerable.Range(0, 300 * 20).Select(_ => random.NextSingle())]);
        string left = Path.Combine(Tool.Digits, "base"), right = Path.Combine(Tool.Digits, "expert_rot90");
        string[] exact = [_folder["base"], _folder["expert"]], sketched = [left, right];
        Assert.That(Tool.Run(["svd", .. exact]).Succeeds().Out, Does.Not.Contain("~"));
        string text = Tool.Run(["svd", .. sketched, "--ranks", "2"]).Succeeds().Out;
        Assert.That(text, Does.Match(@"(?m)^fc2\.weight +\[256, 256\] +(~[\d.]+ ?){2} +~[\d.]+ +~[\d.]+ %$"));
        Assert.That(text.TrimEnd().Split('\n')[^1], Does.StartWith("~ from a random sketch"));
    }

    [Test]
    public void Seed_and_threads_change_no_share_that_is_shown()
    {
        string left = Path.Combine(Tool.Digits, "base"), right = Path.Combine(Tool.Digits, "expert_rot90");
        string[] command = ["svd", left, right, "--ranks", "8"];
        string one = Tool.Run([.. command, "--threads", "1"]).Succeeds().Out;
        Assert.That(Tool.Run([.. command, "--threads", "3"]).Succeeds().Out, Is.EqualTo(one));
        Assert.That(Tool.Run([.. command, "--seed", "9"]).Succeeds().Out, Is.EqualTo(one));
        Tool.Run([.. command, "--threads", "0"]).AssertFails(ExitCodes.Usage, "--threads");
    }

    [Test]
    public void What_cannot_be_measured_is_one_line_with_the_tensor()
    {
        Write("base", new float[6]);
        var values = new float[6];
        values[3] = float.NaN;
        Write("nan", values);
        Write("longer", new float[8]);
        Tool.Run("svd", _folder["base"], _folder["nan"]).AssertFails(ExitCodes.BadData, "'weight'", "NaN");
        Tool.Run("svd", _folder["base"], _folder["longer"]).AssertFails(ExitCodes.BadData, "'weight'", "[2, 4]");
        Tool.Run("svd", _folder["base"], _folder["none"]).AssertFails(ExitCodes.NoInput, "none");
        Tool.Run("svd", _folder["base"], _folder["nan"], "--ranks", "8,much").AssertFails(ExitCodes.Usage, "'much'");
    }

    [Test]
    public void Matrices_of_one_model_alone_are_named_and_models_without_a_common_one_refused()
    {
        Write("base", new float[6]);
        Write("more", new float[6], "extra");
        foreach (string[] pair in new[] { new[] { "base", "more" }, ["more", "base"] })
        {
            var run = Tool.Run("svd", _folder[pair[0]], _folder[pair[1]]).Succeeds();
            Assert.That(run.Error, Does.Contain("warning: not measured").And.Contain(": extra\n"));
        }

        Assert.That(Tool.Run("svd", _folder["base"], _folder["base"]).Succeeds().Error, Is.Empty);
        foreach (var (model, name) in new[] { ("one", "x"), ("other", "y") })
        {
            Directory.CreateDirectory(_folder[model]);
            SafetensorsWriter.Write(
                Path.Combine(_folder[model], "model.safetensors"),
                [(new TensorSpec(name, Dtype.F32, [1, 1]), new byte[4])]);
        }

        Tool.Run("svd", _folder["one"], _folder["other"]).AssertFails(ExitCodes.BadData, "no matrix of the same name");
    }

    private static double[] Numbers(JsonElement tensor, string key) =>
        [.. tensor.GetProperty(key).EnumerateArray().Select(value => value.GetDouble())];

    private static double[] Shares(JsonElement tensor) =>
        [.. tensor.GetProperty("energy").EnumerateArray().Select(rank => rank.GetProperty("share").GetDouble())];

    // A matrix of 20 rows, or of 2 where it is small.
    private void Write(string name, float[] weight, string third = "bias")
    {
        int rows = weight.Length > 100 ? 20 : 2;
        SafetensorsWriter.Write(Path.Combine(_folder[name], "model.safetensors"), [
            (new TensorSpec("weight", Dtype.F32, [rows, weight.Length / rows]),
                MemoryMarshal.AsBytes(weight.AsSpan()).ToArray()),
            (new TensorSpec("same", Dtype.BF16, [3, 2]), new byte[12]),
            (new TensorSpec(third, Dtype.F32, third == "bias" ? [4] : [2, 2]), new byte[16]),
        ]);
    }
}
