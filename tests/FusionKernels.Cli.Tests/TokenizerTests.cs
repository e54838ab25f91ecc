using System.Runtime.InteropServices;
using System.Text.Json;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

public sealed class TokenizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Models_of_different_vocabularies_merge_into_their_union()
    {
        WriteModel("a", """{"one": 0, "two": 1}""", 1, 2);
        WriteModel("b", """{"two": 0, "three": 1, "one": 2}""", 20, 30, 10);
        string recipe = _folder.Write("recipe.yml", """
            merge_method: linear
            models: [{model: a}, {model: b}]
            parameters: {weight: 0.5}
            tokenizer_source: union
            chat_template: chatml
            """);
        Tool.Run("merge", recipe, _folder["out"], "--model-root", _folder[""]).Succeeds();
        Tool.Run("verify", _folder["out"]).Succeeds();

        using var merged = Checkpoint.Open(_folder["out"]);
        byte[] bytes = new byte[12];
        merged.Tensors[0].Read(0, bytes);
        Assert.That(MemoryMarshal.Cast<byte, float>(bytes).ToArray(), Is.EqualTo(new[] { 5.5f, 11f, 30f }));
        var vocabulary = Json("tokenizer.json").GetProperty("model").GetProperty("vocab");
        Assert.That(vocabulary.GetProperty("three").GetInt32(), Is.EqualTo(2));
        Assert.That(Json("config.json").GetProperty("vocab_size").GetInt32(), Is.EqualTo(3));
        Assert.That(File.ReadAllText(_folder["out/chat_template.jinja"]), Does.Contain("<|im_start|>"));
    }

    private void WriteModel(string name, string vocabulary, params float[] rows)
    {
        var embedding = new TensorSpec("model.embed_tokens.weight", Dtype.F32, [rows.Length, 1]);
        byte[] bytes = MemoryMarshal.AsBytes(rows.AsSpan()).ToArray();
        SafetensorsWriter.Write(_folder[name + "/model.safetensors"], [(embedding, bytes)]);
        _folder.Write(name + "/tokenizer.json", $$$"""{"model": {"type": "BPE", "vocab": {{{vocabulary}}}}}""");
        _folder.Write(name + "/config.json", $$"""{"vocab_size": {{rows.Length}}}""");
    }

    private JsonElement Json(string file) => JsonDocument.Parse(File.ReadAllBytes(_folder["out/" + file])).RootElement;
}
