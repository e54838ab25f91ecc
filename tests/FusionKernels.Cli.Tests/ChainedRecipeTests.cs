namespace FusionKernels.Cli.Tests;

/// <summary>Recipes of several documents, where a document's name is a model of another.</summary>
public sealed class ChainedRecipeTests : IDisposable
{
    private const string Average = """
        merge_method: linear
        models: [{model: expert_rot90}, {model: expert_invert}]
        parameters: {weight: 0.5}

        """;

    private const string Trim = """
        merge_method: dare_ties
        base_model: base
        models:
          - {model: average, parameters: {weight: 1, density: 0.5}}
          - {model: expert_shuffle, parameters: {weight: 0.4, density: 0.5}}

        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_chain_gives_the_bytes_of_its_merges_one_after_the_other()
    {
        Merge("average", Average);
        Merge("second", Trim.Replace("model: average", "model: " + _folder["average"], StringComparison.Ordinal));
        Merge("chain", "name: average\n" + Average + "---\n" + Trim);
        Assert.That(Bytes("chain"), Is.EqualTo(Bytes("second")));
        Tool.Run("verify", _folder["chain"]).Succeeds();
        string written = Path.Combine(_folder["chain"], "mergekit_config.yml");
        Tool.Run("merge", written, _folder["again"], "--model-root", Tool.Digits).Succeeds();
        Assert.That(Bytes("again"), Is.EqualTo(Bytes("chain")));
    }

    [Test]
    public void An_option_that_stands_for_a_key_counts_for_every_document()
    {
        string step = Trim.Replace("average", "expert_rot90", StringComparison.Ordinal);
        string chain = "name: average\n" + step + "---\n" + Trim;
        Merge("option", chain, "--rng", "torch");
        Merge("keys", chain.Replace("merge_method", "rng: torch\nmerge_method", StringComparison.Ordinal));
        Assert.That(Bytes("option"), Is.EqualTo(Bytes("keys")));
    }

    [TestCase(Average + "---\n" + Average, "a second document without a 'name'")]
    [TestCase("name: a\n" + Average + "---\nname: a\n" + Average + "---\n" + Average, "two recipes are called 'a'")]
    [TestCase(
        "name: expert_rot90\n" + Average + "---\n" + Average,
        "go round in a circle: 'expert_rot90' needs 'expert_rot90'")]
    public void A_chain_that_cannot_be_is_refused_in_one_line_before_anything_is_written(string recipe, string message)
    {
        string file = _folder.Write("bad.yml", recipe);
        Tool.Run("merge", file, _folder["bad"], "--model-root", Tool.Digits).AssertFails(ExitCodes.Usage, message);
        Assert.That(Directory.Exists(_folder["bad"]), Is.False);
    }

    [Test]
    public void A_name_that_no_document_has_is_a_missing_input()
    {
        string file = _folder.Write("bad.yml", "name: avrage\n" + Average + "---\n" + Trim);
        Tool.Run("merge", file, _folder["bad"], "--model-root", Tool.Digits)
            .AssertFails(ExitCodes.NoInput, "no recipe is called 'average' (did you mean 'avrage'?)");
    }

    private void Merge(string output, string recipe, params string[] options)
    {
        string file = _folder.Write(output + ".yml", recipe);
        Tool.Run(["merge", file, _folder[output], "--model-root", Tool.Digits, .. options]).Succeeds();
    }

    private byte[] Bytes(string output) => File.ReadAllBytes(Path.Combine(_folder[output], "model.safetensors"));
}
