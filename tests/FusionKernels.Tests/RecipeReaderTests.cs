using FusionKernels.Recipes;

namespace FusionKernels.Tests;

public class RecipeReaderTests
{
    private const string Minimal = "merge_method: linear\nmodels:\n  - model: a\n";

    [Test]
    public void A_recipe_with_every_supported_key_is_read()
    {
        var recipe = RecipeReader.Parse("""
            merge_method: ties
            base_model: org/base
            models:
              - model: org/a
                parameters:
                  density: [1, 0.7, 0.2]
                  weight:
                    - {filter: mlp, value: 0.5}
                    - value: 0.3
              - model: org/b
                parameters: {weight: 0.25, density: 0.5}
            parameters: {normalize: true, int8_mask: false, lambda: 0.9}
            dtype: float32
            out_dtype: torch.bfloat16
            """);
        Assert.Multiple(() =>
        {
            Assert.That(recipe.MergeMethod, Is.EqualTo("ties"));
            Assert.That(recipe.BaseModel, Is.EqualTo("org/base"));
            Assert.That(recipe.Models.Select(m => m.Path), Is.EqualTo(new[] { "org/a", "org/b" }));
            Assert.That(recipe.Models[0].Parameters["density"].Evaluate("x", 0.25), Is.EqualTo(0.85).Within(1e-12));
            Assert.That(recipe.Models[0].Parameters["weight"].Evaluate("model.layers.0.mlp.up_proj.weight", 0), Is.EqualTo(0.5));
            Assert.That(recipe.Models[0].Parameters["weight"].Evaluate("model.norm.weight", 0), Is.EqualTo(0.3));
            Assert.That(recipe.Parameters["normalize"].Evaluate("x", 0), Is.EqualTo(1));
            Assert.That(recipe.Parameters["int8_mask"].Evaluate("x", 0), Is.Zero);
            Assert.That((recipe.Dtype, recipe.OutDtype), Is.EqualTo(("float32", "torch.bfloat16")));
        });
    }

    [TestCase("a", "a")]
    [TestCase("{model: a}", "a")]
    [TestCase("{model: {path: a}, lora: null}", "a")]
    [TestCase("a+b", "a+b")]
    [TestCase("{model: a, lora: b}", "a+b")]
    [TestCase("{model: {path: a, revision: null}, lora: {path: b}, override_architecture: null}", "a+b")]
    public void A_model_is_a_path_or_a_path_and_an_adapter(string reference, string expected)
    {
        string models = $"base_model: {reference}\nmodels: [{{model: {reference}}}]";
        var recipe = RecipeReader.Parse("merge_method: linear\n" + models);
        Assert.That((recipe.BaseModel, recipe.Models[0].Path), Is.EqualTo((expected, expected)));
    }

    [Test]
    public void Aliases_stand_for_what_their_anchors_name()
    {
        var recipe = RecipeReader.Parse("""
            merge_method: ties
            base_model: &base org/base
            models:
              - model: *base
                parameters: &usual
                  density: &half 0.5
                  weight: 1
              - model: org/a
                parameters: *usual
              - model: org/b
                parameters:
                  <<: *usual
                  weight: 0.25
              - model: org/c
                parameters: {<<: [{weight: 2}, *usual]}
            parameters: {lambda: *half}
            """);
        Assert.That(recipe.Models[0].Path, Is.EqualTo("org/base"));
        Assert.That(
            recipe.Models.Select(m => (m.Parameters["density"].Evaluate("x", 0), m.Parameters["weight"].Evaluate("x", 0))),
            Is.EqualTo(new (double?, double?)[] { (0.5, 1), (0.5, 1), (0.5, 0.25), (0.5, 2) }));
        Assert.That(recipe.Parameters["lambda"].Evaluate("x", 0), Is.EqualTo(0.5));
    }

    [TestCase("{model: &a org/a, parameters: {weight: 1}}")]
    [TestCase("{model: 'org/a', parameters: {weight: &w 0.3, density: 0.5}}")]
    [TestCase("{model: org/a, parameters: {weight: [{filter: &f mlp, value: &v [1, 2]}, {filter: *f, value: *v}]}}")]
    public void Anchors_may_stand_anywhere_in_flow_style(string model)
    {
        var recipe = RecipeReader.Parse($"merge_method: linear\nmodels: [{model}, {{model: b}}] # both\ndtype: float32\n");
        Assert.That(recipe.Models.Select(m => m.Path), Is.EqualTo(new[] { "org/a", "b" }));
        Assert.That(recipe.Models[0].Parameters, Has.Count.EqualTo(model.Contains("density") ? 2 : 1));
        Assert.That(recipe.Dtype, Is.EqualTo("float32"));
    }

    [Test]
    public void A_key_that_begins_with_x_holds_what_is_repeated()
    {
        var recipe = RecipeReader.Parse("x-defaults: &usual {weight: 0.5}\n" + Minimal + "parameters: *usual");
        Assert.That(recipe.Parameters["weight"].Evaluate("w", 0), Is.EqualTo(0.5));
    }

    [TestCase("---\n")]
    [TestCase("---\n# the end\n---\n")]
    public void A_document_separator_at_the_end_begins_no_document(string end) =>
        Assert.That(RecipeReader.Parse("---\n" + Minimal + end).Models, Has.Count.EqualTo(1));

    [Test]
    public void A_recipe_written_in_code_survives_its_own_yaml()
    {
        var recipe = Recipe.For("ties").WithBase("models/base")
            .Add("models/a b", ("weight", 0.5), ("density", Setting.Gradient(1, 0.7, 0.2)))
            .Add("null", ("weight", new Setting([new SettingEntry("mlp", [0.5], null), new SettingEntry(null, [0.1, 0.2], null)])))
            .With("variant", Setting.Choice("paper")).With("lambda", 0.4).WithDtype("float32", "bfloat16")
            .With("a: b", Setting.Choice("c: d"))
            with { Rng = RandomGenerator.Torch, MissingTensors = MissingTensors.Skip };
        var read = RecipeReader.Parse(recipe.ToYaml());
        Assert.That((read with { Text = null }).ToYaml(), Is.EqualTo(recipe.ToYaml()));
        Assert.That(read.Models[1].Path, Is.EqualTo("null"));
    }

    [TestCase("ends with a line break\n")]
    [TestCase("model\n")]
    [TestCase(".nan")]
    [TestCase("-.inf")]
    [TestCase(" spaces ")]
    public void Any_path_survives_yaml(string path) =>
        Assert.That(RecipeReader.Parse(Recipe.For("linear").Add(path).ToYaml()).Models[0].Path, Is.EqualTo(path));

    [Test]
    public void Of_several_documents_the_unnamed_one_is_the_recipe_and_the_others_are_its_steps()
    {
        string text = "name: first\n" + Minimal + "---\n" + Minimal + "dtype: float16\n---\nname: last\n" + Minimal;
        var recipe = RecipeReader.Parse(text);
        Assert.That((recipe.Name, recipe.Dtype, recipe.Text), Is.EqualTo(((string?)null, "float16", text)));
        Assert.That(recipe.Steps.Select(s => s.Name), Is.EqualTo(new[] { "first", "last" }));
        string canonical = (recipe with { Text = null }).ToYaml();
        Assert.That((RecipeReader.Parse(canonical) with { Text = null }).ToYaml(), Is.EqualTo(canonical));
    }

    [Test]
    public void A_single_document_may_have_a_name() =>
        Assert.That(RecipeReader.Parse("name: mine\n" + Minimal).Name, Is.EqualTo("mine"));

    [TestCase("models: [{model: a}]", "'merge_method' is missing")]
    [TestCase("merge_method: linear", "exactly one of 'models', 'slices' and 'modules'")]
    [TestCase("merge_method: linear\nmodels: a", "'models' must be a list")]
    [TestCase("merge_method: linear\nmodels: [a]", "must be a map of keys")]
    [TestCase("merge_method: linear\nmodels: [{model: \"a\\0b\"}]", "'model' must be text")]
    [TestCase("merge_method: linear\nmodels: [{parameters: {}}]", "needs 'model'")]
    [TestCase(Minimal + "slices: []", "exactly one of 'models', 'slices' and 'modules'")]
    [TestCase("merge_method: linear\nslices: [{sources: [{model: a, layer_range: [2, 1]}]}]", "'layer_range' must be")]
    [TestCase("merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}], residual_weight: 1}]", "'residual_weight' has no effect")]
    [TestCase("merge_method: linear\nslices: [{}]", "a slice needs 'sources'")]
    [TestCase("merge_method: linear\nmodules: {text: {models: []}}", "may only hold 'default'")]
    [TestCase("merge_method: linear\nmodules: {default: {}}", "exactly one of 'models' and 'slices'")]
    [TestCase(Minimal + "rng: numpy", "'rng' is one of philox, torch, not 'numpy'")]
    [TestCase(Minimal + "missing_tensors: ignore", "'missing_tensors' is one of refuse, skip, base, drop, not 'ignore'")]
    [TestCase(Minimal + "tokenizer_source: union\ntokenizer: {}", "only one of them may be there")]
    [TestCase(Minimal + "tokenizer: union", "'tokenizer' must be a map of keys")]
    [TestCase(Minimal + "tokenizer: {sorce: union}", "'sorce' is no key of 'tokenizer' (did you mean 'source'?)")]
    [TestCase(Minimal + "tokenizer: {pad_to_multiple_of: 0}", "'pad_to_multiple_of' must be a whole")]
    [TestCase(Minimal + "tokenizer: {tokens: [a]}", "'tokens' must be a map")]
    [TestCase(Minimal + "tokenizer: {tokens: {a: {from: b}}}", "'from' is no key of a token")]
    [TestCase(Minimal + "tokenizer: {tokens: {a: {force: maybe}}}", "'force' is true or false")]
    [TestCase(Minimal + "tokenizer: {tokens: {a: {source: {kind: one}}}}", "'kind' is one of zero, model_token")]
    [TestCase(Minimal + "tokenizer: {tokens: {a: {source: {kind: zero, model: b}}}}", "a token's source is")]
    [TestCase(Minimal + "tokenizer: {tokens: {a: {source: {kind: model_token, model: b}}}}", "a token's source is")]
    [TestCase(
        Minimal + "tokenizer: {tokens: {a: {source: {kind: model_token, model: b, token: c, token_id: 1}}}}",
        "a token's source is")]
    [TestCase(Minimal + "chat_template: lama3", "did you mean 'llama3'?")]
    [TestCase(Minimal + "chat_template: a text that is long but has no braces", "or Jinja, not")]
    [TestCase(Minimal + "paramters: {}", "did you mean 'parameters'?")]
    [TestCase(Minimal + "parameters: {weight: []}", "'weight' is an empty list")]
    [TestCase(Minimal + "parameters: {weight: .nan}", "finite number")]
    [TestCase(Minimal + "parameters: {weight: 1e400}", "finite number")]
    [TestCase(Minimal + "parameters: {weight: 010}", "finite number")]
    [TestCase(Minimal + "parameters: {weight: -08}", "finite number")]
    [TestCase("defaults: &d {weight: 1}\n" + Minimal + "parameters: *d", "begins with 'x-'")]
    [TestCase("defaults: {d: &d {weight: 1}}\n" + Minimal + "parameters: *d", "begins with 'x-'")]
    [TestCase(Minimal + "parameters: {weight: 1e39}", "finite number")]
    [TestCase(Minimal + "parameters: {weight: [1, x]}", "list of finite numbers")]
    [TestCase(Minimal + "parameters: {weight: {filter: a}}", "needs 'value'")]
    [TestCase(Minimal + "parameters: {weight: {value: 1, flter: a}}", "not 'flter'")]
    [TestCase(Minimal + "dtype: float32\ndtype: float32", "stands twice")]
    [TestCase("merge_method: linear\nmodels: *a", "r.yml:2: '*a' repeats a value that nothing above calls '&a'")]
    [TestCase("merge_method: linear\nmodels: &a [*a]", "nothing above calls '&a'")]
    [TestCase("merge_method: linear\n<<: 3", "'<<' stands for a map, or a list of maps")]
    [TestCase(Minimal + "<<: {paramters: {}}", "did you mean 'parameters'?")]
    [TestCase("merge_method: !x linear", "tags are not allowed")]
    [TestCase("merge_method: [", "no valid YAML")]
    [TestCase("models:\n- parameters: [\n    weight: 0.5\n- model: a", "no valid YAML")]
    [TestCase(Minimal + "\"two\\nlines\": 1", "'two\\u000alines' is no key")]
    [TestCase("", "is empty")]
    [TestCase(Minimal + "---\n" + Minimal, "r.yml:5: a second document without a 'name'")]
    [TestCase("name: a\n" + Minimal + "---\nname: b\n" + Minimal, "every document has a 'name'")]
    [TestCase("name: a\n" + Minimal + "---\n" + Minimal + "nonsense: 3", "'nonsense' is no key of a recipe")]
    [TestCase(Minimal + "name: a/b", "'name: a/b' is no name")]
    [TestCase(Minimal + "name: ..", "'name: ..' is no name")]
    [TestCase("merge_method: linear\nmodels: [{model: {path: a}}]", "not 'path'")]
    [TestCase("merge_method: linear\nmodels: [{model: {lora: a}}]", "needs 'model'")]
    [TestCase("merge_method: linear\nmodels: [{model: {model: {revision: a}}}]", "'revision' is not supported")]
    [TestCase("merge_method: linear\nmodels: [{model: {model: {}}}]", "needs 'path'")]
    [TestCase("merge_method: linear\nmodels: [{model: {model: a, override_architecture: b}}]", "override_architecture")]
    public void What_is_wrong_is_refused_in_one_line(string text, string expected)
    {
        var error = Assert.Throws<MergeException>(() => RecipeReader.Parse(text, "r.yml"))!;
        Assert.That(error.Kind, Is.EqualTo(MergeError.Recipe));
        Assert.That(error.Message, Does.StartWith("r.yml").And.Contains(expected).And.Not.Contains("\n"));
    }

    [Test]
    public void A_tokenizer_survives_its_own_yaml()
    {
        var recipe = Recipe.For("linear").Add("a") with
        {
            ChatTemplate = "{% for m in messages %}{{ m['content'] + '\n' }}{% endfor %}",
            Tokenizer = new RecipeTokenizer("models/a b")
            {
                PadToMultipleOf = 64,
                Tokens = new Dictionary<string, RecipeToken>
                {
                    ["<|im_start|>"] = new(new TokenSource("org/a"), Force: true),
                    ["true"] = new(new TokenSource("org/a", "\"yes\"")),
                    ["\u2581n\n"] = new(new TokenSource("org/a", TokenId: 7)),
                    ["zero"] = new(default(TokenSource)),
                    ["own"] = new(null, Force: true),
                },
            },
        };
        var read = RecipeReader.Parse(recipe.ToYaml());
        Assert.That((read with { Text = null }).ToYaml(), Is.EqualTo(recipe.ToYaml()));
        Assert.That(read.ChatTemplate, Is.EqualTo(recipe.ChatTemplate));
        Assert.That(read.Tokenizer!.Tokens, Is.EqualTo(recipe.Tokenizer.Tokens));
    }

    [TestCase("yes", 1)]
    [TestCase("Off", 0)]
    [TestCase("true", 1)]
    public void Flags_are_those_of_YAML_1_1(string flag, double expected)
    {
        var recipe = RecipeReader.Parse(Minimal + $"parameters: {{normalize: {flag}}}");
        Assert.That(recipe.Parameters["normalize"].Evaluate("w", 0), Is.EqualTo(expected));
    }

    [Test]
    public void A_key_without_a_value_counts_as_absent() =>
        Assert.That(RecipeReader.Parse(Minimal + "slices: null\nmodules:").Models, Has.Count.EqualTo(1));

    [Test]
    public void Deep_nesting_and_size_are_limited()
    {
        string deep = "a: " + new string('[', 1000) + new string(']', 1000);
        Assert.That(() => RecipeReader.Parse(deep), Throws.TypeOf<MergeException>().With.Message.Contains("nested deeper"));
        Assert.That(() => RecipeReader.Parse(new string(' ', 1_000_001)), Throws.TypeOf<MergeException>().With.Message.Contains("at most"));
    }

    [Test]
    public void A_lenient_reading_ignores_unknown_keys_with_a_warning()
    {
        var recipe = RecipeReader.Parse(Minimal + "nonsense: 3", lenient: true);
        Assert.That(recipe.Warnings, Has.Count.EqualTo(1).And.Some.Contains("'nonsense'"));
    }
}
