using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>The commands that write a model from a recipe of another form.</summary>
public sealed class ModelToolTests : IDisposable
{
    private static readonly string Llama = Path.Combine(Path.GetDirectoryName(Tool.Digits)!, "tiny-llama");
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Moe_writes_a_mixture_that_verifies()
    {
        string recipe = Path.Combine(Llama, "moe.yml");
        var made = Tool.Run("moe", recipe, _folder["moe"], "--model-root", Llama, "--seed", "3", "--json").Succeeds();
        Assert.That(made.LastJson.GetProperty("method").GetString(), Is.EqualTo("moe"));
        Tool.Run("verify", _folder["moe"]).Succeeds();
        using var output = Checkpoint.Open(_folder["moe"]);
        Assert.That(output.TryGet("model.layers.0.mlp.experts.gate_up_proj", out _));
    }

    [Test]
    public void Moe_refuses_gates_that_need_a_forward_pass_by_name()
    {
        string config = _folder.Write(
            "hidden.yml", "base_model: base\ngate_mode: hidden\nexperts: [{source_model: base}]\n");
        Tool.Run("moe", config, _folder["no"], "--model-root", Llama)
            .AssertFails(ExitCodes.Usage, "hidden.yml:2", "'gate_mode: hidden' needs a forward pass");
    }

    [Test]
    public void Layershuffle_prints_the_recipe_that_it_runs()
    {
        string[] models = ["-m", "base", "-m", "expert", "-w", "1", "-w", "2", "--model-root", Llama];
        string[] draw = ["layershuffle", _folder["stack"], .. models, "--seed", "4"];
        var dry = Tool.Run([.. draw, "--print-yaml", "--dry-run", "--write-yaml", _folder["stack.yml"]]).Succeeds();
        Assert.That(Directory.Exists(_folder["stack"]), Is.False);
        Assert.That(dry.Out, Is.EqualTo(File.ReadAllText(_folder["stack.yml"])));
        var json = Tool.Run([.. draw, "--print-yaml", "--dry-run", "--json"]).Succeeds();
        Assert.That(json.Json.GetProperty("recipe").GetString(), Is.EqualTo(dry.Out));
        Assert.That(Tool.Run([.. draw, "--dry-run", "--json"]).Succeeds().Out, Is.EqualTo(json.Out));
        Tool.Run(draw).Succeeds();
        Tool.Run("merge", _folder["stack.yml"], _folder["merged"], "--model-root", Llama).Succeeds();
        Assert.That(Bytes("stack"), Is.EqualTo(Bytes("merged")));
    }

    [Test]
    public void Layershuffle_leaves_a_file_alone_that_holds_another_recipe()
    {
        string file = _folder.Write("mine.yml", "mine");
        string[] draw = ["layershuffle", _folder["no"], "-m", "base", "-m", "expert", "--model-root", Llama, "--dry-run"];
        Tool.Run([.. draw, "--write-yaml", file]).AssertFails(ExitCodes.CannotCreate, file);
        Assert.That(File.ReadAllText(file), Is.EqualTo("mine"));
        File.Delete(file);
        Tool.Run([.. draw, "--write-yaml", file]).Succeeds();
        Tool.Run([.. draw, "--write-yaml", file]).Succeeds();
    }

    [Test]
    public void Layershuffle_refuses_weights_that_are_not_one_per_model() =>
        Tool.Run("layershuffle", _folder["no"], "-m", "base", "-w", "1", "-w", "2", "--model-root", Llama)
            .AssertFails(ExitCodes.Usage, "1 models and 2 weights");

    [Test]
    public void Layershuffle_refuses_a_weight_that_is_no_number() =>
        Tool.Run("layershuffle", _folder["no"], "-m", "base", "-w", "much")
            .AssertFails(ExitCodes.Usage, "'much' is no number");

    private byte[] Bytes(string output) => File.ReadAllBytes(Path.Combine(_folder[output], "model.safetensors"));
}
