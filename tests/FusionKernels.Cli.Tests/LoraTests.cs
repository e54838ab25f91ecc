using System.Runtime.InteropServices;
using FusionKernels.Cli.Demo;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>Adapters as a user meets them: the one of the samples, in recipes.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class LoraTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TestCase("base+lora_rot90")]
    [TestCase("{model: base, lora: lora_rot90}")]
    [TestCase("{model: {path: base, revision: null}, lora: {path: lora_rot90}, override_architecture: null}")]
    public void A_model_with_an_adapter_merges_as_the_model_that_it_is_folded_into(string reference)
    {
        Merge(Recipe("passthrough", "base+lora_rot90"), "dense").Succeeds();
        Merge(Recipe("ties", reference), "streamed").Succeeds();
        Merge(Recipe("ties", _folder["dense"]), "stored", "--threads", "1").Succeeds();
        var difference = Tool.Run("diff", _folder["streamed"], _folder["stored"]).Succeeds();
        Assert.That(difference.Out, Does.Contain("identical: 6 tensors, every bit"));
    }

    [Test]
    public void The_adapter_of_the_samples_teaches_the_base_its_task()
    {
        Merge(Recipe("passthrough", "base+lora_rot90"), "adapted").Succeeds();
        using var tests = Checkpoint.Open(Path.Combine(Tool.Digits, "tests.safetensors"));
        float[] images = DigitsNetwork.Read(tests, "rot90.x");
        Assert.That(tests.TryGet("rot90.y", out var labels));
        long[] expected = new long[labels!.ElementCount];
        labels.Read(0, MemoryMarshal.AsBytes(expected.AsSpan()));
        double before = DigitsNetwork.Load(Path.Combine(Tool.Digits, "base")).Accuracy(images, expected);
        double after = DigitsNetwork.Load(_folder["adapted"]).Accuracy(images, expected);
        Assert.That(after, Is.GreaterThan(before + 0.1));
    }

    [Test]
    public void A_changed_adapter_is_another_merge()
    {
        CopyAdapter();
        string recipe = Recipe("ties", "base+" + _folder["lora"]), config = _folder["lora/adapter_config.json"];
        Merge(recipe, "out").Succeeds();
        Assert.That(Merge(recipe, "out", "--json").Succeeds().LastJson.GetProperty("shards_reused").GetInt32(), Is.EqualTo(1));

        string text = File.ReadAllText(config);
        File.WriteAllText(config, text.Replace("\"lora_alpha\": 8", "\"lora_alpha\": 9", StringComparison.Ordinal));
        Merge(recipe, "out").AssertFails(ExitCodes.Usage, "--restart");
        File.WriteAllText(config, text);
        Merge(recipe, "out").Succeeds();
        File.SetLastWriteTimeUtc(_folder["lora/adapter_model.safetensors"], DateTime.UnixEpoch);
        Merge(recipe, "out").AssertFails(ExitCodes.Usage, "--restart");
    }

    [TestCase("base+nowhere", ExitCodes.NoInput, "adapter_config.json")]
    [TestCase("base+expert_invert", ExitCodes.NoInput, "adapter_config.json")]
    [TestCase("nowhere+lora_rot90", ExitCodes.NoInput, "nowhere")]
    [TestCase("tests.safetensors+lora_rot90", ExitCodes.BadData, "fc1")]
    [TestCase("base+lora_rot90+lora_rot90", ExitCodes.Usage, "path+adapter")]
    [TestCase("base+", ExitCodes.Usage, "path+adapter")]
    [TestCase("base@main", ExitCodes.Usage, "revisions")]
    [TestCase("base+lora_rot90@main", ExitCodes.Usage, "revisions")]
    [TestCase("{model: base, adapter: lora_rot90}", ExitCodes.Usage, "'adapter'")]
    [TestCase("{lora: lora_rot90}", ExitCodes.Usage, "needs 'model'")]
    [TestCase("{model: {path: base, revision: main}}", ExitCodes.Usage, "'revision'")]
    [TestCase("{model: base, override_architecture: Llama}", ExitCodes.Usage, "override_architecture")]
    public void A_reference_that_cannot_be_followed_is_refused(string reference, int exitCode, string word) =>
        Merge(Recipe("ties", reference), "out").AssertFails(exitCode, word);

    [Test]
    public void An_output_inside_the_adapter_is_refused()
    {
        CopyAdapter();
        Merge(Recipe("ties", "base+" + _folder["lora"]), "lora/out").AssertFails(ExitCodes.CannotCreate, "input folder");
    }

    private void CopyAdapter()
    {
        Directory.CreateDirectory(_folder["lora"]);
        foreach (string file in Directory.GetFiles(Path.Combine(Tool.Digits, "lora_rot90")))
            File.Copy(file, Path.Combine(_folder["lora"], Path.GetFileName(file)));
    }

    private ToolResult Merge(string recipe, string output, params string[] options) =>
        Tool.Run(["merge", recipe, _folder[output], "--model-root", Tool.Digits, .. options]);

    private string Recipe(string method, string model) => method == "passthrough"
        ? _folder.Write("passthrough.yml", $"merge_method: passthrough\nmodels:\n  - model: {model}\n")
        : _folder.Write("ties.yml", $$"""
            merge_method: {{method}}
            base_model: base
            models:
              - model: {{model}}
                parameters: {weight: 1, density: 0.5}
              - model: expert_invert
                parameters: {weight: 0.5, density: 0.5}
            """);
}
