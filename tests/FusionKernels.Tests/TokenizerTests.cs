using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>
/// Merges of models with different vocabularies. The row of token t in model m is (1000 m + t, -(1000 m + t)), t the
/// code of its first letter, so every row of an output tells whose it is.
/// </summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TokenizerTests : IDisposable
{
    private const string Embedding = "model.embed_tokens.weight", Head = "lm_head.weight";

    private static readonly string[] Paths = ["base", "m0", "m1"];

    // The tokens of each model by id. <s> and <tool> are added tokens; all but <s> stand elsewhere in every model.
    private readonly Dictionary<string, string[]> _vocabularies = new()
    {
        ["base"] = ["<s>", "a", "b", "c"],
        ["m0"] = ["<s>", "b", "a", "c", "x", "<tool>"],
        ["m1"] = ["<s>", "c", "a", "b", "y", "x"],
    };

    private readonly TemporaryModels _folder;

    public TokenizerTests()
    {
        var other = ToyModels.F32("w", [1], [1]);
        _folder = new TemporaryModels(Paths.ToDictionary(p => p, p => new[] { Rows(Embedding, p), other }));
        foreach (string path in Paths)
            WriteTokenizer(path);
    }

    public void Dispose() => _folder.Dispose();

    [TestCase("base", new[] { 60, 97, 98, 99, 1120, 1060, 2121 })]
    [TestCase("m0", new[] { 1060, 1097, 1098, 1099, 1120, 1060, 2121 })]
    [TestCase("m1", new[] { 2060, 2097, 2098, 2099, 2120, 1060, 2121 })]
    public async Task A_union_keeps_the_bases_ids_and_appends_what_others_have(string only, int[] expected)
    {
        // Order of the new tokens: those of vocabularies (x of m0, y of m1), then the added <tool>. The base lacks x:
        // the average of both.
        (expected[5], expected[6]) = (expected[6], expected[5]);
        if (only == "base")
            expected[4] = (1120 + 2120) / 2;
        var rows = await MergedRows(Only(only), "tokenizer_source: union");
        Assert.That(rows, Is.EqualTo(expected));
    }

    [Test]
    public async Task The_base_or_a_models_tokenizer_gives_the_rows_their_order()
    {
        int[] byBase = await MergedRows(Only("m1"), "tokenizer_source: base");
        Assert.That(byBase, Is.EqualTo(new[] { 2060, 2097, 2098, 2099 }));
        int[] byModel = await MergedRows(Only("m1"), "tokenizer_source: m0");
        Assert.That(byModel, Is.EqualTo(new[] { 2060, 2098, 2097, 2099, 2120, 1060 }));
        byModel = await MergedRows(Only("base"), "tokenizer: {source: m0}");
        Assert.That(byModel, Is.EqualTo(new[] { 60, 98, 97, 99, 1620, 1060 }));
    }

    [Test]
    public async Task A_token_can_have_a_source_of_its_own()
    {
        const string Tokens = """
            tokenizer:
              source: m0
              tokens:
                x: {source: m1}
                <tool>: {source: {kind: zero}}
                a: {source: {kind: model_token, model: m1, token: b}, force: true}
                b: {source: {kind: model_token, model: m1, token_id: 4}}
            """;
        Assert.That(await MergedRows(Only("base"), Tokens), Is.EqualTo(new[] { 60, 98, 2098, 99, 2120, 0 }));
        Assert.That(await MergedRows(Only("m0"), Tokens), Is.EqualTo(new[] { 1060, 1098, 2098, 1099, 1120, 1060 }));
    }

    [Test]
    public async Task Padding_adds_the_mean_of_the_other_rows()
    {
        int[] rows = await MergedRows(Only("base"), "tokenizer: {source: base, pad_to_multiple_of: 3}");
        int mean = (60 + 97 + 98 + 99) / 4;
        Assert.That(rows, Is.EqualTo(new[] { 60, 97, 98, 99, mean, mean }).Within(1));
        Assert.That(Config("out")["vocab_size"]!.GetValue<int>(), Is.EqualTo(6));
    }

    [Test]
    public async Task Task_vectors_of_tokens_that_a_model_lacks_are_zero()
    {
        // y is only in m1, so the base takes m1's row and no model differs from it.
        int[] rows = await MergedRows(
            "merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: m0}, {model: m1}]\n",
            "parameters: {weight: 1}\ntokenizer_source: union");
        Assert.That(rows[5], Is.EqualTo(2121));
        Assert.That(rows[1], Is.EqualTo(97 + 1000 + 2000));
    }

    [Test]
    public async Task Heads_are_permuted_too_and_a_tied_one_from_its_embedding()
    {
        foreach (string path in Paths)
            WriteModel(path, path == "m1" ? [Rows(Embedding, path)] : [Rows(Embedding, path), Rows(Head, path, 500)]);
        await Run(Only("m1"), "tokenizer_source: base");
        Assert.That(Read("out", Head), Is.EqualTo(new[] { 2060, 2097, 2098, 2099 }));
        await Run(Only("m0"), "tokenizer_source: base");
        Assert.That(Read("out", Head), Is.EqualTo(new[] { 1560, 1597, 1598, 1599 }));
    }

    [Test]
    public async Task Rows_of_another_dtype_are_rounded_to_the_models_own()
    {
        WriteModel("m0", [ToyModels.BF16(Embedding, [6, 2], Values("m0", 0)), ToyModels.F32("w", [1], [1])]);

        // BF16 has a value every 8 from 1024, every 16 from 2048. The row of y is m1's 2121.
        int[] rows = await MergedRows(Only("m0"), "tokenizer_source: union");
        Assert.That(rows, Is.EqualTo(new[] { 1056, 1096, 1096, 1096, 1120, 2128, 1056 }));
    }

    [Test]
    public async Task Long_embeddings_are_the_same_for_any_number_of_threads_and_any_chunks()
    {
        const int Tokens = 3000, Columns = 17;
        var random = new Random(3);
        var values = new Dictionary<string, float[]>();
        foreach (string path in Paths)
        {
            string[] words = [.. Enumerable.Range(0, Tokens).Select(i => $"t{i}")];
            if (path != "base")
                random.Shuffle(words.AsSpan(path == "m0" ? 1000 : 0));
            _vocabularies[path] = words;
            values[path] = [.. Enumerable.Range(0, Tokens * Columns).Select(_ => random.NextSingle())];
            WriteModel(path, [ToyModels.F32(Embedding, [Tokens, Columns], values[path])]);
            WriteTokenizer(path);
        }

        string recipe = Only("m0");
        float[] expected = [.. Enumerable.Range(0, Tokens).SelectMany(
            id => values["m0"].AsSpan(Array.IndexOf(_vocabularies["m0"], $"t{id}") * Columns, Columns).ToArray())];
        foreach (int chunk in new[] { 0, 4096, 12288 })
        {
            foreach (int threads in new[] { 1, 3 })
            {
                foreach (var access in new[] { SourceAccess.Map, SourceAccess.Read })
                {
                    var options = new MergeOptions { Threads = threads, ChunkElements = chunk, Access = access };
                    await Run(recipe, "tokenizer_source: base", options);
                    Assert.That(Floats("out", Embedding).AsSpan().SequenceEqual(expected), options.ToString());
                }
            }
        }
    }

    [Test]
    public async Task The_files_of_a_union_hold_all_tokens_with_their_ids()
    {
        foreach (string path in Paths)
            _folder.Write(path, "vocab.json", "{}");
        await Run(Only("m0"), "tokenizer_source: union");
        var main = Json("out", "tokenizer.json");
        Assert.That(
            main["model"]!["vocab"]!.AsObject().ToDictionary(p => p.Key, p => p.Value!.GetValue<int>()),
            Is.EqualTo(new Dictionary<string, int> { ["a"] = 1, ["b"] = 2, ["c"] = 3, ["x"] = 4, ["y"] = 5 }));
        var added = main["added_tokens"]!.AsArray().Select(t =>
            (t!["content"]!.ToString(), t["id"]!.GetValue<int>(), t["special"]!.GetValue<bool>()));
        Assert.That(added, Is.EqualTo(new[] { ("<s>", 0, true), ("<tool>", 6, true) }));
        var settings = Json("out", "tokenizer_config.json")["added_tokens_decoder"]!;
        Assert.That(settings["6"]!["content"]!.ToString(), Is.EqualTo("<tool>"));
        Assert.That(_folder.Has("out", "vocab.json"), Is.False, "the vocabulary without the new tokens");
        Assert.That(Config("out")["vocab_size"]!.GetValue<int>(), Is.EqualTo(7));
    }

    [Test]
    public async Task A_union_of_unigram_pieces_gives_every_token_its_place()
    {
        foreach (string path in Paths)
            WriteTokenizer(path, unigram: true);
        await Run(Only("m0"), "tokenizer_source: union");
        var pieces = Json("out", "tokenizer.json")["model"]!["vocab"]!.AsArray();
        string[] expected = ["<s>", "a", "b", "c", "x", "y", "<tool>"];
        Assert.That(pieces.Select(p => p![0]!.ToString()), Is.EqualTo(expected));
    }

    [Test]
    public async Task A_step_hands_on_its_tokenizer_and_is_matched_by_it()
    {
        await Run(Only("m0"), "tokenizer_source: union");
        Directory.Move(_folder["out"], _folder["first"]);
        const string Second =
            "merge_method: linear\nmodels: [{model: first}, {model: m1}]\nparameters: {weight: 0.5}\n";
        foreach (string source in new[] { "first", "m1", "union" })
        {
            await Run(Second, $"tokenizer_source: {source}");
            Directory.Move(_folder["out"], _folder["second"]);
            Directory.Move(_folder["first"], _folder["kept"]);
            string step = $"name: first\n{Only("m0")}tokenizer_source: union\n---\n";
            Assert.That(await MergedRows(step + Second, $"tokenizer_source: {source}"), Is.EqualTo(Read("second", Embedding)));
            foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json", "config.json" })
                Assert.That(Json("out", file).ToJsonString(), Is.EqualTo(Json("second", file).ToJsonString()));
            Directory.Move(_folder["kept"], _folder["first"]);
            Directory.Delete(_folder["second"], recursive: true);
        }
    }

    [Test]
    public async Task Files_and_special_ids_come_from_the_source()
    {
        _folder.Write("m0", "config.json", """{"vocab_size": 6, "bos_token_id": 5, "keep": 3}""");
        _folder.Write("m0", "special_tokens_map.json", """{"bos_token": "<tool>"}""");
        await Run(Only("m1"), "tokenizer_source: m0");
        string written = File.ReadAllText(_folder["out/tokenizer.json"]);
        Assert.That(written, Is.EqualTo(File.ReadAllText(_folder["m0/tokenizer.json"])));
        Assert.That(Json("out", "special_tokens_map.json")["bos_token"]!.ToString(), Is.EqualTo("<tool>"));
        Assert.That(Config("out")["bos_token_id"]!.GetValue<int>(), Is.EqualTo(5));
        Assert.That(Config("out").ContainsKey("keep"), Is.False);
    }

    [Test]
    public async Task Vocabularies_without_tokenizer_json_are_read()
    {
        foreach (string path in Paths)
        {
            File.Delete(_folder[path + "/tokenizer.json"]);
            if (path == "m0")
                _folder.Write(path, "vocab.txt", string.Join('\n', _vocabularies[path][..^1]) + "\n");
            else
                _folder.Write(path, "vocab.json", Ids(_vocabularies[path]).ToJsonString());
        }

        _folder.Write("m0", "added_tokens.json", """{"<tool>": 5}""");
        int[] rows = await MergedRows(Only("m1"), "tokenizer_source: m0");
        Assert.That(rows, Is.EqualTo(new[] { 2060, 2098, 2097, 2099, 2120, 1060 }));
    }

    [Test]
    public async Task Tokens_that_no_model_has_get_the_mean_and_a_warning()
    {
        // A token beyond the rows of its model's embedding has no row.
        _vocabularies["base"] = ["<s>", "a", "b", "c", "z"];
        WriteTokenizer("base");
        _vocabularies["base"] = ["<s>", "a", "b", "c"];
        var report = await Run(Only("base"), "tokenizer_source: base");
        Assert.That(Read("out", Embedding), Is.EqualTo(new[] { 60, 97, 98, 99, 88 }).Within(1));
        Assert.That(report.Warnings, Has.Exactly(1).Contains("1 tokens are in no model ('z')"));
    }

    [Test]
    public async Task A_run_does_not_go_on_with_other_tokens()
    {
        await Run(Only("m0"), "tokenizer_source: base", keeps: true);
        (_vocabularies["m0"][1], _vocabularies["m0"][2]) = (_vocabularies["m0"][2], _vocabularies["m0"][1]);
        WriteTokenizer("m0");
        var error = await Refusal("tokenizer_source: base", keeps: true);
        Assert.That(error.Kind, Is.EqualTo(MergeError.Changed));
        Assert.That(error.Message, Does.Contain("tokenizers[1]"));
    }

    [TestCase("tokenizer_source: other", MergeError.Recipe, "'other' is none of union, base and the recipe's models")]
    [TestCase("tokenizer: {tokens: {q: {source: m0}}}", MergeError.Recipe, "'q' is no token")]
    [TestCase("tokenizer: {tokens: {y: {source: m0}}}", MergeError.Recipe, "the source 'm0' of 'y' has no row for 'y'")]
    [TestCase("tokenizer: {tokens: {y: {source: elsewhere}}}", MergeError.Recipe, "'elsewhere' of 'y' is no model")]
    [TestCase(
        "tokenizer: {tokens: {y: {source: {kind: model_token, model: base, token_id: 4}}}}",
        MergeError.Recipe,
        "has no row 4")]
    public async Task What_a_recipe_names_and_is_not_there_is_refused(string tokenizer, MergeError kind, string message)
    {
        var error = await Refusal(tokenizer);
        Assert.That(error.Kind, Is.EqualTo(kind));
        Assert.That(error.Message, Does.Contain(message).And.Not.Contain("\n"));
    }

    [TestCase("tokenizer.json", null, "needs a tokenizer.json, vocab.json or vocab.txt there")]
    [TestCase("tokenizer.json", "[]", "no JSON object")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {"a": 1, "a": 2}}}""", "no JSON object")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {"a": "b"}}}""", "tokenizer.json: not laid out")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {"a": -1}}}""", "tokenizer.json: not laid out")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {"a": 2000000000}}}""", "tokenizer.json: not laid out")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {}}, "added_tokens": [{}]}""", "not laid out")]
    [TestCase("tokenizer.json", """{"model": {"vocab": {}, "type": "WordPiece"}}""", "not WordPiece here and BPE in")]
    [TestCase("tokenizer_config.json", """{"added_tokens_decoder": {"x": {}}}""", "config.json: not laid out")]
    public async Task A_tokenizer_that_cannot_be_read_is_refused_by_its_file(string file, string? text, string message)
    {
        File.Delete(_folder["m1/" + file]);
        if (text is not null)
            _folder.Write("m1", file, text);
        var error = await Refusal("tokenizer_source: union");
        Assert.That(error.Kind, Is.EqualTo(MergeError.Models));
        Assert.That(error.Message, Does.Contain(_folder["m1"]).And.Contain(message));
    }

    [Test]
    public async Task A_sentencepiece_tokenizer_is_refused_by_name()
    {
        File.Move(_folder["m1/tokenizer.json"], _folder["m1/tokenizer.model"]);
        var error = await Refusal("tokenizer_source: base");
        Assert.That(error.Message, Does.Contain("tokenizer.model: tokenizers of this kind are not read"));
    }

    private static string Only(string model) => "merge_method: linear\nbase_model: base\nmodels:\n"
        + string.Concat(Paths.Select(p => $"  - {{model: {p}, parameters: {{weight: {(p == model ? 1 : 0)}}}}}\n"));

    private static JsonObject Ids(IEnumerable<string> tokens) =>
        new(tokens.Select((text, id) => KeyValuePair.Create(text, (JsonNode?)id)));

    private float[] Values(string path, int offset) => [.. _vocabularies[path].SelectMany(text =>
    {
        float value = (1000 * Array.IndexOf(Paths, path)) + offset + text[0];
        return new[] { value, -value };
    })];

    private MemoryTensor Rows(string name, string path, int offset = 0) =>
        ToyModels.F32(name, [_vocabularies[path].Length, 2], Values(path, offset));

    private void WriteModel(string path, MemoryTensor[] tensors)
    {
        (TensorSpec, ReadOnlyMemory<byte>)[] contents =
            [.. tensors.Select(t => (new TensorSpec(t.Name, t.Dtype, t.Shape), t.Bytes))];
        SafetensorsWriter.Write(_folder[path + "/model.safetensors"], contents);
    }

    private void WriteTokenizer(string path, bool unigram = false)
    {
        static bool IsAdded(string text) => text.StartsWith('<');
        string[] tokens = _vocabularies[path];
        JsonObject Flags(string text) => new() { ["content"] = text, ["lstrip"] = false, ["special"] = true };
        var ids = Ids(tokens);
        foreach (string text in tokens.Where(IsAdded))
            ids.Remove(text);
        var pieces = tokens.TakeWhile(t => t != "<tool>").Select(t => new JsonArray(t, -1.5));
        var model = new JsonObject { ["type"] = "BPE", ["vocab"] = ids };
        if (unigram)
            model = new JsonObject { ["type"] = "Unigram", ["vocab"] = new JsonArray([.. pieces]) };
        var added = tokens.Select((text, id) => (Text: text, Id: id)).Where(t => IsAdded(t.Text)).ToArray();
        var main = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray([.. added.Select(t =>
            {
                var token = Flags(t.Text);
                token["id"] = t.Id;
                return token;
            })]),
            ["model"] = model,
        };
        var decoder = new JsonObject(added.Select(t => KeyValuePair.Create($"{t.Id}", (JsonNode?)Flags(t.Text))));
        _folder.Write(path, "tokenizer.json", main.ToJsonString());
        var settings = new JsonObject { ["added_tokens_decoder"] = decoder };
        _folder.Write(path, "tokenizer_config.json", settings.ToJsonString());
        _folder.Write(path, "config.json", $$"""{"vocab_size": {{tokens.Length}}, "hidden_size": 2}""");
    }

    private async Task<MergeReport> Run(
        string recipe, string tokenizer, MergeOptions? options = null, bool keeps = false)
    {
        if (Directory.Exists(_folder["out"]) && !keeps)
            Directory.Delete(_folder["out"], recursive: true);
        options = (options ?? new MergeOptions { Threads = 1 }) with { ModelRoot = _folder.Root };
        return await Merge.RunAsync(RecipeReader.Parse(recipe + tokenizer), _folder["out"], options);
    }

    private async Task<MergeException> Refusal(string tokenizer, bool keeps = false) =>
        (await Assert.ThrowsAsync<MergeException>(() => Run(Only("m0"), tokenizer, keeps: keeps)))!;

    private async Task<int[]> MergedRows(string recipe, string tokenizer)
    {
        await Run(recipe, tokenizer);
        return Read("out", Embedding);
    }

    private float[] Floats(string path, string tensor)
    {
        using var checkpoint = Checkpoint.Open(_folder[path]);
        Assert.That(checkpoint.TryGet(tensor, out var stored), tensor);
        var bytes = new byte[stored!.ByteLength];
        stored.Read(0, bytes);
        if (stored.Dtype == Dtype.F32)
            return MemoryMarshal.Cast<byte, float>(bytes).ToArray();
        ushort[] bits = MemoryMarshal.Cast<byte, ushort>(bytes).ToArray();
        return Array.ConvertAll(bits, b => BitConverter.UInt32BitsToSingle((uint)b << 16));
    }

    // The first columns; the second ones must be their negatives.
    private int[] Read(string path, string tensor)
    {
        float[] values = Floats(path, tensor);
        Assert.That(values.Where((_, i) => i % 2 == 1), Is.EqualTo(values.Where((_, i) => i % 2 == 0).Select(v => -v)));
        return [.. values.Where((_, i) => i % 2 == 0).Select(v => (int)v)];
    }

    private JsonObject Json(string path, string file) =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(_folder[path], file)))!.AsObject();

    private JsonObject Config(string path) => Json(path, "config.json");
}
