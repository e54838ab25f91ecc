using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>Options that stand for a key of the recipe.</summary>
public sealed class RecipeOptionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Rng_is_the_recipes_key_and_the_output_says_so()
    {
        string recipe = Tool.Recipe("dare_ties");
        string withKey = _folder.Write("torch.yml", File.ReadAllText(recipe) + "rng: torch\n");
        Merge(recipe, "philox");
        Merge(recipe, "option", "--rng", "torch");
        Merge(withKey, "key");
        Assert.That(Weights("option"), Is.EqualTo(Weights("key")));
        Assert.That(Weights("option"), Is.Not.EqualTo(Weights("philox")));
        Merge(Path.Combine(_folder["option"], "mergekit_config.yml"), "again");
        Assert.That(Weights("again"), Is.EqualTo(Weights("key")));
    }

    [Test]
    public void Missing_decides_about_tensors_that_a_model_lacks()
    {
        float[] values = [1, 2];
        TensorSpec shared = new("shared", Dtype.F32, [2]), own = new("own", Dtype.F32, [2]);
        byte[] bytes = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        SafetensorsWriter.Write(Path.Combine(_folder["whole"], "model.safetensors"), [(shared, bytes), (own, bytes)]);
        SafetensorsWriter.Write(Path.Combine(_folder["partial"], "model.safetensors"), [(shared, bytes)]);
        string recipe = _folder.Write("linear.yml", $$"""
            merge_method: linear
            models: [{model: {{_folder["whole"]}}}, {model: {{_folder["partial"]}}}]
            parameters: {weight: 1}
            """);
        Tool.Run("merge", recipe, _folder["refused"]).AssertFails(ExitCodes.BadData, "own: missing from");
        var merged = Tool.Run("merge", recipe, _folder["skipped"], "--missing", "skip").Succeeds();
        Assert.That(merged.Error, Does.Contain("partial: lacks own; it is left out"));
        Tool.Run("merge", recipe, _folder["based"], "--missing", "base")
            .AssertFails(ExitCodes.Usage, "needs a 'base_model'");
        var dropped = Tool.Run("merge", recipe, _folder["dropped"], "--missing", "drop").Succeeds();
        Assert.That(dropped.Error, Does.Contain("partial: lacks own; the output lacks them too"));
        using var output = Checkpoint.Open(_folder["dropped"]);
        Assert.That(output.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "shared" }));
    }

    [Test]
    public void Non_finite_results_are_told_or_refused()
    {
        float[] values = [1, float.NaN, 3, float.PositiveInfinity];
        byte[] bytes = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        SafetensorsWriter.Write(
            Path.Combine(_folder["broken"], "model.safetensors"), [(new TensorSpec("w", Dtype.F32, [4]), bytes)]);
        string recipe = _folder.Write("broken.yml", $$"""
            merge_method: linear
            models:
              - model: {{_folder["broken"]}}
                parameters: {weight: 2}
            """);
        Tool.Run("merge", recipe, _folder["fails"], "--nan", "fail")
            .AssertFails(ExitCodes.BadData, "model.safetensors", "w: holds NaN or infinities (2 of its elements)");
        Assert.That(Directory.GetFiles(_folder["fails"], "*.safetensors*"), Is.Empty);
        var told = Tool.Run("merge", recipe, _folder["told"]).Succeeds();
        Assert.That(told.Error, Does.Contain("fusion: warning: w: 2 elements NaN or infinite"));
        var report = Tool.Run("merge", recipe, _folder["told"], "--json").Succeeds().LastJson;
        Assert.That(report.GetProperty("non_finite").GetProperty("w").GetInt64(), Is.EqualTo(2));
    }

    [Test]
    public void Single_files_without_a_config_are_merged_as_they_are()
    {
        string[] files = Directory.GetFiles(Tool.Digits, "*.safetensors", SearchOption.AllDirectories);
        string[] experts = [.. files.Where(f => f.Contains("expert_", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        string copy = Path.Combine(_folder["raw"], "a.safetensors");
        Directory.CreateDirectory(_folder["raw"]);
        File.Copy(experts[0], copy);
        string recipe = _folder.Write("raw.yml", $$"""
            merge_method: linear
            models: [{model: {{copy}}}, {model: {{experts[1]}}}]
            parameters: {weight: 0.5}
            """);
        Tool.Run("merge", recipe, _folder["rawout"]).Succeeds();
        Assert.That(File.Exists(Path.Combine(_folder["rawout"], "model.safetensors")));
        Assert.That(File.Exists(Path.Combine(_folder["rawout"], "config.json")), Is.False);
    }

    private void Merge(string recipe, string output, params string[] options) =>
        Tool.Run(["merge", recipe, _folder[output], "--model-root", Tool.Digits, "--seed", "42", .. options]).Succeeds();

    private byte[] Weights(string output) => File.ReadAllBytes(Path.Combine(_folder[output], "model.safetensors"));
}
