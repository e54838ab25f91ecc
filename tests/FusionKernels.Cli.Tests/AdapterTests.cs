using System.Text.Json;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary><c>fusion extract-lora</c> and <c>fusion sum-lora</c> as a user runs them, on the digits.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class AdapterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void An_extracted_adapter_applied_to_the_base_is_the_expert()
    {
        var extracted = Extract("expert_rot90", "lora", "--rank", "256").Succeeds();
        Assert.That(extracted.Out, Does.Match("3 modules of ranks 10 to 25[56]"));
        Tool.Run("verify", _folder["lora"]).Succeeds();
        Assert.That(RelativeError("base+" + _folder["lora"], "expert_rot90"), Is.LessThan(1e-5));
    }

    [Test]
    public void A_share_of_the_energy_bounds_what_is_missed()
    {
        string[] options = ["--energy", "0.8", "--seed", "4"];
        var done = Extract("expert_rot90", "lora", [.. options, "--threads", "1", "--json"]).Succeeds().LastJson;
        foreach (var module in done.GetProperty("modules").EnumerateArray())
        {
            Assert.That(module.GetProperty("energy").GetDouble(), Is.InRange(0.8 - 1e-6, 1));
            Assert.That(module.GetProperty("rank").GetInt32(), Is.LessThan(128));
        }

        Assert.That(Extract("expert_rot90", "lora", options).Succeeds().Out, Does.Contain("earlier run"));
        Extract("expert_rot90", "lora", "--energy", "0.9").AssertFails(ExitCodes.Usage, "--restart");
        Extract("expert_rot90", "lora", "--energy", "0.9", "--restart").Succeeds();
    }

    [Test]
    public void The_sum_of_extracted_adapters_adds_the_task_vectors()
    {
        Extract("expert_rot90", "a", "--rank", "256").Succeeds();
        Extract("expert_invert", "b", "--rank", "256").Succeeds();
        Sum("sum", "-a", _folder["a"], "-a", _folder["b"], "-w", "0.5", "-w", "0.25").Succeeds();
        Tool.Run("merge", _folder.Write("both.yml", """
            merge_method: task_arithmetic
            base_model: base
            models:
              - {model: expert_rot90, parameters: {weight: 0.5}}
              - {model: expert_invert, parameters: {weight: 0.25}}
            """), _folder["merged"], "--model-root", Tool.Digits).Succeeds();
        Assert.That(RelativeError("base+" + _folder["sum"], _folder["merged"]), Is.LessThan(1e-5));

        var less = Sum("less", "-a", _folder["sum"], "--rank", "4", "--dtype", "bfloat16", "--json");
        var modules = less.Succeeds().LastJson.GetProperty("modules").EnumerateArray();
        Assert.That(modules.Select(m => m.GetProperty("rank").GetInt32()), Is.All.EqualTo(4));
    }

    [Test]
    public void What_cannot_be_done_is_one_line()
    {
        Extract("nowhere", "x").AssertFails(ExitCodes.NoInput, "nowhere");
        Extract("tests.safetensors", "x").AssertFails(ExitCodes.BadData, "fc1.weight", "tests.safetensors");
        Extract("base", "x", "--rank", "0").AssertFails(ExitCodes.Usage, "--rank");
        Extract("base", "x", "--energy", "2").AssertFails(ExitCodes.Usage, "--energy");
        Extract("base", "x", "--sv-epsilon", "-1").AssertFails(ExitCodes.Usage, "--sv-epsilon");
        Extract("base", "x", "-i", "(").AssertFails(ExitCodes.Usage, "'('");
        Extract("base", "x").AssertFails(ExitCodes.BadData, "nothing");
        Sum("y", "-a", Tool.Digits).AssertFails(ExitCodes.NoInput, "adapter_config.json");
        Sum("y", "-a", Tool.Digits, "-w", "1", "-w", "2").AssertFails(ExitCodes.Usage, "2 weights");
        Sum("y", "-a", Tool.Digits, "-w", "much").AssertFails(ExitCodes.Usage, "'much'");
        Sum("y").AssertFails(ExitCodes.Usage, "--adapter");
    }

    private ToolResult Sum(string output, params string[] options) =>
        Tool.Run(["sum-lora", _folder[output], .. options]);

    private ToolResult Extract(string expert, string output, params string[] options) => Tool.Run(
        ["extract-lora", "base", expert, _folder[output], "--model-root", Tool.Digits, .. options]);

    // The largest relative Frobenius norm of a tensor's difference, after the first model is written as it is read.
    private double RelativeError(string model, string expected)
    {
        string recipe = _folder.Write("one.yml", $"merge_method: passthrough\nmodels:\n  - model: {model}\n");
        Tool.Run("merge", recipe, _folder["one"], "--model-root", Tool.Digits).Succeeds();
        var diff = Tool.Run("diff", _folder["one"], Path.GetFullPath(expected, Tool.Digits), "--json").Succeeds().Json;
        return diff.GetProperty("tensors").EnumerateArray().Max(t => t.GetProperty("relative_norm").GetDouble());
    }
}
