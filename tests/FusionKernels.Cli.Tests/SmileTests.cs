using FusionKernels.Cli.Demo;
using FusionKernels.Safetensors;
using FusionKernels.Smile;

namespace FusionKernels.Cli.Tests;

/// <summary><c>fusion smile</c> as a user runs it.</summary>
public sealed class SmileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static string Sample { get; } = Path.GetFullPath("../recipes/smile.yml", Tool.Digits);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void The_sample_recipe_makes_a_model_that_verifies_and_opens()
    {
        var report = Smile("sample", "--json").Succeeds().LastJson;
        Assert.That(report.GetProperty("method").GetString(), Is.EqualTo("smile"));
        Tool.Run("verify", _folder["sample"]).Succeeds();
        using var smile = SmileModel.Open(_folder["sample"]);
        Assert.That(smile.Layers.Select(l => (l.Name, l.Experts)), Is.EqualTo(
            new[] { ("fc1", 4), ("fc2", 4), ("head", 4) }));
        Assert.That(Smile("sample").Succeeds().Out, Does.Contain("1 kept from an earlier run"));
    }

    [Test]
    public void Options_take_the_place_of_the_recipes_parameters()
    {
        Smile("out", "--k", "-1", "--gate-k", "3", "--top-k", "2").Succeeds();
        using (var smile = SmileModel.Open(_folder["out"]))
        {
            Assert.That(smile.Layers.Select(l => l.Layer.TopK), Is.All.EqualTo(2));
            Assert.That(smile.Layers.Select(l => l.Layer.Experts[0].IsDense), Is.All.True);
            Assert.That(smile.Layers[0].Layer.Experts[0].Gate.Rows, Is.EqualTo(3));
        }

        Smile("out").AssertFails(ExitCodes.Usage, "another recipe", "--restart");
        Smile("ranked", "--k", "4", "--gate-k", "4", "--energy", "0.5").Succeeds();
        Smile("llama", "--layout", "causal_lm").AssertFails(ExitCodes.BadData, "model_type", "causal_lm");
        Smile("wide", "--k", "11").AssertFails(
            ExitCodes.Usage, "base/model.safetensors", "'head.weight'", "'k' is at most 10");
        Smile("many", "--top-k", "5").AssertFails(ExitCodes.Usage, "'top_k' is 5", "4 experts");
        Smile("much", "--k", "much").AssertFails(ExitCodes.Usage, "--k: 'much' is no number");
    }

    [Test]
    public void An_adapter_gives_an_expert_of_its_rank_and_no_more()
    {
        string recipe = _folder["lora.yml"];
        File.WriteAllText(recipe, """
            merge_method: smile
            base_model: base
            models: [{model: base+lora_rot90}, {model: expert_invert}]
            parameters: {k: 8, gate_k: 8}
            """);
        Tool.Run("smile", recipe, _folder["lora"], "--model-root", Tool.Digits).Succeeds();
        using var output = Checkpoint.Open(_folder["lora"]);
        float[] svh = DigitsNetwork.Read(output, "fc1.experts.0.svh");
        double[] lengths = [.. svh.Chunk(64).Select(row => Math.Sqrt(row.Sum(v => (double)v * v)))];
        Assert.That(lengths[..4], Is.All.GreaterThan(1));
        Assert.That(lengths[4..], Is.All.Zero);
    }

    [Test]
    public void A_recipe_of_another_method_is_refused()
    {
        string ties = Path.GetFullPath("../recipes/ties.yml", Tool.Digits);
        Tool.Run("smile", ties, _folder["out"]).AssertFails(ExitCodes.Usage, "ties.yml", "'fusion merge'");
    }

    private ToolResult Smile(string output, params string[] options) =>
        Tool.Run(["smile", Sample, _folder[output], "--model-root", Tool.Digits, .. options]);
}
