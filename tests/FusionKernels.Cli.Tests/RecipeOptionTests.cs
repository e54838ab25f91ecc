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

    private void Merge(string recipe, string output, params string[] options) =>
        Tool.Run(["merge", recipe, _folder[output], "--model-root", Tool.Digits, "--seed", "42", .. options]).Succeeds();

    private byte[] Weights(string output) => File.ReadAllBytes(Path.Combine(_folder[output], "model.safetensors"));
}
