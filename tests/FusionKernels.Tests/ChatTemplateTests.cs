using System.Text.Json.Nodes;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;
using FusionKernels.Tokenizers;

namespace FusionKernels.Tests;

/// <summary>Where the chat template of an output comes from, and the files that it is written to.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ChatTemplateTests : IDisposable
{
    private const string Own = "{% for message in messages %}{{ message['content'] }}{% endfor %}";
    private const string File = "chat_template.jinja", Settings = "tokenizer_config.json";

    private readonly TemporaryModels _folder = new(
        new[] { "a", "b", "c" }.ToDictionary(p => p, _ => new[] { ToyModels.F32("w", [1], [1]) }));

    public void Dispose() => _folder.Dispose();

    [Test]
    public async Task Without_the_key_the_donors_files_are_taken_as_they_are()
    {
        _folder.Write("a", File, Own);
        _folder.Write("a", Settings, """{"chat_template":  "old"}""");
        await Run("");
        Assert.That(Read(File), Is.EqualTo(Own));
        Assert.That(Read(Settings), Is.EqualTo("""{"chat_template":  "old"}"""));
    }

    [TestCase("chatml", "<|im_start|>")]
    [TestCase("llama3", "<|start_header_id|>")]
    [TestCase("alpaca", "### Instruction:")]
    [TestCase("mistral", "[INST]")]
    [TestCase("exaone", "[|endofturn|]")]
    public async Task A_bundled_template_goes_to_both_places_where_loaders_look(string name, string mark)
    {
        _folder.Write("a", Settings, """{"chat_template": "old", "model_max_length": 77}""");
        _folder.Write("a", "chat_template.json", """{"chat_template": "older"}""");
        await Run($"chat_template: {name}");
        Assert.That(Read(File), Does.Contain(mark).And.EqualTo(ChatTemplate.Bundled[name]));
        var settings = JsonNode.Parse(Read(Settings))!;
        Assert.That(settings["chat_template"]!.ToString(), Is.EqualTo(Read(File)));
        Assert.That(settings["model_max_length"]!.GetValue<int>(), Is.EqualTo(77));
        Assert.That(_folder.Has("out", "chat_template.json"), Is.False, "a template that is not the output's");
    }

    [Test]
    public async Task Jinja_text_is_taken_as_it_is()
    {
        await Run($"chat_template: \"{Own}\"");
        Assert.That(Read(File), Is.EqualTo(Own));
    }

    [Test]
    public async Task Auto_takes_the_most_common_and_the_first_of_equals()
    {
        _folder.Write("a", Settings, """{"chat_template": "one"}""");
        _folder.Write("b", File, "two");
        await Run("chat_template: auto");
        Assert.That(Read(File), Is.EqualTo("one"));

        // A file of its own wins over the settings, and of named templates the default counts.
        _folder.Write("b", Settings, """{"chat_template": "one"}""");
        _folder.Write("c", Settings, """
            {"chat_template": [{"name": "tools", "template": "one"}, {"name": "default", "template": "two"}]}
            """);
        await Run("chat_template: auto");
        Assert.That(Read(File), Is.EqualTo("two"));
    }

    [Test]
    public async Task Auto_without_any_template_is_refused_before_anything_is_written()
    {
        var error = await Assert.ThrowsAsync<MergeException>(() => Run("chat_template: auto"));
        Assert.That(error!.Message, Does.Contain("no model has a chat template"));
        Assert.That(Directory.Exists(_folder["out"]), Is.False);
    }

    [Test]
    public async Task A_config_that_is_no_object_is_refused_before_anything_is_written()
    {
        _folder.Write("a", "config.json", "[1]");
        var error = await Assert.ThrowsAsync<MergeException>(() => Run(""));
        Assert.That(error!.Message, Does.Contain(_folder["a"]).And.Contain("config.json: no JSON object"));
        Assert.That(_folder.Has("out", "model.safetensors"), Is.False);
    }

    private string Read(string file) => System.IO.File.ReadAllText(Path.Combine(_folder["out"], file));

    private async Task Run(string key)
    {
        if (Directory.Exists(_folder["out"]))
            Directory.Delete(_folder["out"], recursive: true);
        var recipe = RecipeReader.Parse($$"""
            merge_method: linear
            models: [{model: a}, {model: b}, {model: c}]
            parameters: {weight: 1}
            {{key}}
            """);
        await Merge.RunAsync(recipe, _folder["out"], new MergeOptions { Threads = 1, ModelRoot = _folder.Root });
    }
}
