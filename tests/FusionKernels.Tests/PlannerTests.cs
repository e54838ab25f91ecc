using FusionKernels.Execution;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

public class PlannerTests
{
    private static readonly MemoryTensor Weight = ToyModels.F32("model.layers.0.w", [2], [1, 2]);

    private static Dictionary<string, MemoryTensor[]> Models(params MemoryTensor[][] models) =>
        models.Select((m, i) => (Key: i == 0 ? "base" : $"m{i - 1}", m)).ToDictionary(p => p.Key, p => p.m);

    private static Recipe Linear(params string[] models) =>
        models.Aggregate(Recipe.For("linear"), (r, m) => r.Add(m, ("weight", 1.0)));

    private static string Refusal(Recipe recipe, Dictionary<string, MemoryTensor[]> models, MergeError kind, bool lenient = false)
    {
        var error = Assert.Throws<MergeException>(() => InMemoryMerge.Run(recipe, models, new MergeOptions { Threads = 1, Lenient = lenient }))!;
        Assert.That(error.Kind, Is.EqualTo(kind), error.Message);
        Assert.That(error.Message, Does.Not.Contain("\n"));
        return error.Message;
    }

    private static IReadOnlyList<string> Warnings(Recipe recipe, Dictionary<string, MemoryTensor[]> models)
    {
        using var folder = new TemporaryModels(models);
        using var open = new OpenModels(new MergeOptions { ModelRoot = folder.Root });
        return Planner.Plan(recipe, new MergeOptions(), open.Open).Warnings;
    }

    [Test]
    public void An_unknown_method_is_refused_with_a_suggestion() =>
        Assert.That(Refusal(Recipe.For("dare-ties").Add("m0"), Models([Weight], [Weight]), MergeError.Recipe), Does.Contain("did you mean 'dare_ties'?"));

    [Test]
    public void A_method_that_needs_a_base_says_so() =>
        Assert.That(Refusal(Recipe.For("ties").Add("m0", ("weight", 1.0)), Models([Weight], [Weight]), MergeError.Recipe), Does.Contain("needs a 'base_model'"));

    [Test]
    public void A_missing_required_parameter_names_parameter_model_and_tensor() => Assert.That(
        Refusal(Recipe.For("linear").Add("m0"), Models([Weight], [Weight]), MergeError.Recipe),
        Does.Contain("'weight'").And.Contain("m0").And.Contain(Weight.Name));

    [Test]
    public void A_misspelt_parameter_is_refused_unless_lenient()
    {
        var recipe = Recipe.For("linear").Add("m0", ("weight", 1.0), ("densty", 0.3));
        Assert.That(Refusal(recipe, Models([Weight], [Weight]), MergeError.Recipe), Does.Contain("no parameter 'densty'"));
        Assert.That(InMemoryMerge.Run(recipe, Models([Weight], [Weight]), new MergeOptions { Threads = 1, Lenient = true }), Has.Count.EqualTo(1));
    }

    [TestCase("ties")]
    [TestCase("dare_ties")]
    [TestCase("della_linear")]
    [TestCase("breadcrumbs")]
    public void A_negative_density_is_refused_with_model_and_tensor(string method)
    {
        var recipe = Recipe.For(method).WithBase("base").Add("m0", ("weight", 1.0), ("density", -0.5));
        Assert.That(
            Refusal(recipe, Models([Weight], [Weight]), MergeError.Recipe),
            Is.EqualTo($"{method}: 'density' is at least 0, not -0.5 (m0, {Weight.Name})"));
    }

    [Test]
    public void A_slice_without_sources_is_refused()
    {
        var recipe = RecipeReader.Parse("merge_method: linear\nslices: [{sources: []}]");
        Assert.That(Refusal(recipe, Models([Weight]), MergeError.Recipe), Is.EqualTo("a slice lists no source"));
    }

    [TestCase("""{"hidden_size": 8}""", """{"hidden_size": 9}""")]
    [TestCase("""{"hidden_size": 8}""", """{"text_config": {"hidden_size": 9}}""")]
    [TestCase("""{"n_embd": 8}""", """{"n_embd": 9}""")]
    public void Models_of_different_widths_are_refused(string first, string second)
    {
        var stack = Recipe.For("passthrough").AddSlice(new RecipeModel("m0") { Layers = (0, 1) })
            .AddSlice(new RecipeModel("m1") { Layers = (0, 1) });
        foreach (var recipe in new[] { stack, Linear("m0").WithBase("m1") })
        {
            var error = Assert.Throws<MergeException>(() => Planned(recipe, first, second))!;
            Assert.That(error.Kind, Is.EqualTo(MergeError.Models));
            Assert.That(error.Message, Does.StartWith("config.json: '").And.Contain("is 8 in m0 and 9 in m1"));
            Assert.That(Planned(recipe, first, second, lenient: true).Warnings, Has.One.Contain("is 8 in m0"));
        }
    }

    [TestCase("\"num_attention_heads\": 4", "\"num_attention_heads\": 8", "4", "8")]
    [TestCase("\"model_type\": \"llama\"", "\"model_type\": \"mistral\"", "\"llama\"", "\"mistral\"")]
    [TestCase("\"rope_theta\": 10000.0", "\"rope_theta\": 1e6", "10000.0", "1e6")]
    [TestCase("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "1", "2")]
    public void Configs_by_which_equal_tensors_mean_something_else_are_warned_of(
        string first, string second, string value, string other) => Assert.That(
        Planned(Linear("m0", "m1"), $"{{{first}}}", $"{{{second}}}").Warnings,
        Is.EqualTo(new[] { $"config.json: '{first.Split('"')[1]}' is {value} in m0 and {other} in m1" }));

    [Test]
    public void A_stack_of_layers_of_other_shapes_is_warned_of_unless_a_model_has_them_all()
    {
        MemoryTensor Layer(int number, params float[] values) =>
            ToyModels.F32($"model.layers.{number}.w", [values.Length], values);
        var stack = Recipe.For("passthrough").AddSlice(new RecipeModel("m0") { Layers = (0, 2) })
            .AddSlice(new RecipeModel("m1") { Layers = (0, 1) });
        MemoryTensor[] narrow = [Layer(0, 1, 2), Layer(1, 3, 4)], wide = [Layer(0, 1, 2, 3)];
        Assert.That(
            Warnings(stack, Models([], narrow, wide)),
            Is.EqualTo(new[] { "the layers hardly fit together: their 'w' is [2] or [3]" }));
        Assert.That(Warnings(stack, Models([], [narrow[0], Layer(1, 5, 6, 7)], wide)), Is.Empty);
    }

    [TestCase("{}", """{"num_attention_heads": 8}""")]
    [TestCase("""{"intermediate_size": [4, 5]}""", """{"intermediate_size": [4, 6]}""")]
    [TestCase("""{"rope_theta": 10000.0, "rope_scaling": null}""", """{"rope_theta": 10000, "hidden_size": 8}""")]
    public void Configs_that_say_the_same_or_nothing_agree(string first, string second) =>
        Assert.That(Planned(Linear("m0", "m1"), first, second).Warnings, Is.Empty);

    [Test]
    public void A_broken_config_is_refused_when_planned() => Assert.That(
        () => Planned(Linear("m0", "m1"), "{}", "{broken"),
        Throws.TypeOf<MergeException>().With.Message.EndsWith("config.json: no JSON object"));

    private static MergePlan Planned(Recipe recipe, string first, string second, bool lenient = false)
    {
        using var folder = new TemporaryModels(Models([], [Weight], [Weight]));
        folder.Write("m0", "config.json", first);
        folder.Write("m1", "config.json", second);
        using var open = new OpenModels(new MergeOptions { ModelRoot = folder.Root });
        var plan = Planner.Plan(recipe, new MergeOptions { Lenient = lenient }, open.Open);
        Assert.That(plan.Config.Json, Is.Not.Null, "read while the files are there");
        return plan;
    }

    [TestCase("weight", "laiers", " (did you mean 'layers'?)")]
    [TestCase("density", "bias", "")]
    public void A_filter_that_is_in_no_name_is_warned_of_once(string parameter, string filter, string suggestion)
    {
        string idle = $"{parameter}: [{{filter: {filter}, value: 0.5}}, {{filter: layers, value: 1}}, {{value: 1}}]";
        var recipe = RecipeReader.Parse(
            $"""
            merge_method: ties
            base_model: base
            slices:
            - sources:
              - {"{model: base, layer_range: [0, 1]}"}
              - model: m0
                layer_range: [0, 1]
                parameters:
                  {idle}
              parameters:
                {idle}
            parameters:
              lambda: [{"{filter: '*', value: 1}"}]
              {(parameter == "weight" ? idle : "weight: 1")}
            """);
        Assert.That(Warnings(recipe, Models([Weight], [Weight])), Is.EqualTo(
            new[] { $"'{parameter}': no tensor's name contains '{filter}'{suggestion}" }));
    }

    [Test]
    public void An_average_whose_weights_cancel_is_warned_about()
    {
        var models = Models([Weight], [Weight], [Weight]);
        var recipe = Recipe.For("linear").Add("m0", ("weight", 0.5)).Add("m1", ("weight", -0.5));
        Assert.That(Warnings(recipe, models), Has.One.Contain($"the weights sum to 0 in 1 tensor(s) ({Weight.Name}"));
        Assert.That(Warnings(recipe.With("normalize", 0), models), Is.Empty);
    }

    [Test]
    public void Too_many_or_too_few_models_are_refused()
    {
        var models = Models([Weight], [Weight], [Weight]);
        Assert.That(Refusal(Linear(), models, MergeError.Recipe), Does.Contain("lists no model"));
        Assert.That(Refusal(Recipe.For("passthrough").Add("m0").Add("m1"), models, MergeError.Recipe), Does.Contain("exactly 1"));
        Assert.That(Refusal(Recipe.For("model_stock").WithBase("base").Add("m0"), models, MergeError.Recipe), Does.Contain("at least 2"));
        Assert.That(Refusal(Linear("m0", "m0"), models, MergeError.Recipe), Does.Contain("listed twice"));
        Assert.That(Refusal(Linear("m0", "./m0/"), models, MergeError.Recipe), Does.Contain("'./m0/' is listed twice"));
        Assert.That(Refusal(Recipe.For("LINEAR").Add("m0"), models, MergeError.Recipe), Does.Contain("mean 'linear'"));
    }

    [Test]
    public void All_missing_and_misshaped_tensors_are_listed_before_anything_is_written()
    {
        var wide = ToyModels.F32("a", [3], [1, 2, 3]);
        var narrow = ToyModels.F32("a", [2], [1, 2]);
        string message = Refusal(Linear("m0", "m1"), Models([], [wide, Weight], [narrow]), MergeError.Models);
        Assert.That(message, Does.Contain("a: shapes differ").And.Contain(Weight.Name + ": missing from m1"));
    }

    [Test]
    public void A_model_without_a_tensor_is_skipped_when_the_recipe_says_so()
    {
        var other = ToyModels.F32("other", [2], [4, 8]);
        var models = Models([], [Weight, other], [other], [ToyModels.F32(Weight.Name, [2], [5, 6]), other]);
        var recipe = Linear("m0", "m1", "m2") with { MissingTensors = MissingTensors.Skip };
        Assert.That(InMemoryMerge.Run(recipe, models)[Weight.Name].Floats(), Is.EqualTo(new[] { 3f, 4f }));
        string expected = $"m1: lacks {Weight.Name}; it is left out of their merge";
        Assert.That(Warnings(recipe, models), Is.EqualTo(new[] { expected }));
    }

    [Test]
    public void The_base_stands_for_a_missing_tensor_when_the_recipe_says_so()
    {
        var other = ToyModels.F32("other", [2], [0, 0]);
        var models = Models([Weight, other], [other], [ToyModels.F32(Weight.Name, [2], [5, 6]), other]);
        var recipe = Recipe.For("task_arithmetic").WithBase("base").Add("m0").Add("m1")
            .With("weight", 1).With("normalize", 1);
        Assert.That(Refusal(recipe, models, MergeError.Models), Does.Contain($"{Weight.Name}: missing from m0"));
        float[] Merged(MissingTensors missing) =>
            InMemoryMerge.Run(recipe with { MissingTensors = missing }, models)[Weight.Name].Floats();
        Assert.That(Merged(MissingTensors.Base), Is.EqualTo(new[] { 3f, 4f }));
        Assert.That(Merged(MissingTensors.Skip), Is.EqualTo(new[] { 5f, 6f }));

        var linear = Linear("m0", "m1").WithBase("base") with { MissingTensors = MissingTensors.Base };
        Assert.That(InMemoryMerge.Run(linear, models)[Weight.Name].Floats(), Is.EqualTo(new[] { 3f, 4f }));
        linear = linear with { BaseModel = null };
        Assert.That(Refusal(linear, models, MergeError.Recipe), Does.Contain("needs a 'base_model'"));
    }

    [Test]
    public void Dropping_leaves_what_base_and_models_all_have()
    {
        MemoryTensor Named(string name) => Weight with { Name = name };
        var models = Models(
            [Weight, Named("base.only"), Named("base.and.m0")],
            [Weight, Named("base.and.m0"), Named("models.only")],
            [Weight, Named("models.only")]);
        var recipe = Recipe.For("task_arithmetic").WithBase("base").Add("m0", ("weight", 1.0)).Add("m1", ("weight", 1.0))
            with { MissingTensors = MissingTensors.Drop };
        Assert.That(InMemoryMerge.Run(recipe, models).Keys, Is.EqualTo(new[] { Weight.Name }));
        Assert.That(Warnings(recipe, models), Has.Some.EqualTo("base: lacks models.only; the output lacks them too"));
        var linear = Linear("m0", "m1") with { MissingTensors = MissingTensors.Drop };
        Assert.That(InMemoryMerge.Run(linear, models).Keys, Is.EquivalentTo(new[] { Weight.Name, "models.only" }));
    }

    [TestCase(MissingTensors.Skip)]
    [TestCase(MissingTensors.Base)]
    public void A_tensor_that_the_base_lacks_is_refused(MissingTensors missing)
    {
        var recipe = Recipe.For("task_arithmetic").WithBase("base").Add("m0").With("weight", 1)
            with { MissingTensors = missing };
        Assert.That(Refusal(recipe, Models([], [Weight]), MergeError.Models), Does.Contain("missing from the base"));
    }

    [Test]
    public void Where_no_model_remains_the_base_is_copied_and_where_too_few_do_the_tensor_is_left_out()
    {
        var other = ToyModels.F32("other", [2], [0, 0]);
        var models = Models([Weight, other], [Weight, other], [other]);
        var stock = Recipe.For("model_stock").WithBase("base").Add("m0").Add("m1")
            with { MissingTensors = MissingTensors.Skip };
        Assert.That(InMemoryMerge.Run(stock, models).Keys, Is.EqualTo(new[] { "other" }));
        Assert.That(Warnings(stock, models), Has.Some.Contains($"{Weight.Name}: left out of the output"));
        models["m0"] = [other];
        Assert.That(InMemoryMerge.Run(stock, models)[Weight.Name].Floats(), Is.EqualTo(new[] { 1f, 2f }));
    }

    [Test]
    public void A_lenient_merge_skips_models_without_an_optional_tensor_only()
    {
        var head = ToyModels.F32("lm_head.weight", [1, 2], [3, 6]);
        var models = Models([], [Weight, head], [Weight]);
        var recipe = Linear("m0", "m1");
        Assert.That(Refusal(recipe, models, MergeError.Models), Does.Contain("lm_head.weight: missing from m1"));
        var merged = InMemoryMerge.Run(recipe, models, new MergeOptions { Threads = 1, Lenient = true });
        Assert.That(merged["lm_head.weight"].Floats(), Is.EqualTo(new[] { 3f, 6f }));
        models["m1"] = [head];
        string refusal = Refusal(recipe, models, MergeError.Models, lenient: true);
        Assert.That(refusal, Does.Contain($"{Weight.Name}: missing from m1"));
    }

    [Test]
    public void Integer_tensors_are_copied_when_they_agree_and_refused_when_not()
    {
        MemoryTensor Ids(byte first) => new("ids", Dtype.I64, [1], [first, 0, 0, 0, 0, 0, 0, 0]);
        var merged = InMemoryMerge.Run(Linear("m0", "m1"), Models([], [Ids(1), Weight], [Ids(1), Weight]));
        Assert.That(merged["ids"].Bytes[0], Is.EqualTo(1));
        Assert.That(Refusal(Linear("m0", "m1"), Models([], [Ids(1)], [Ids(2)]), MergeError.Models), Does.Contain("I64"));
    }

    [Test]
    public void Elements_smaller_than_a_byte_are_copied_whole()
    {
        var packed = new MemoryTensor("packed", Dtype.F4, [6], [1, 2, 3]);
        Assert.That(InMemoryMerge.Run(Linear("m0", "m1"), Models([], [packed], [packed]))["packed"].Bytes, Is.EqualTo(packed.Bytes));
    }

    [Test]
    public void A_tied_head_is_merged_from_the_embedding_when_another_model_stores_one()
    {
        var embedding = ToyModels.F32("model.embed_tokens.weight", [1, 2], [1, 2]);
        var head = ToyModels.F32("lm_head.weight", [1, 2], [3, 6]);
        var merged = InMemoryMerge.Run(Linear("m0", "m1"), Models([], [embedding], [embedding, head]));
        Assert.That(merged["lm_head.weight"].Floats(), Is.EqualTo(new[] { 2f, 4f }));
        Assert.That(InMemoryMerge.Run(Linear("m0", "m1"), Models([], [embedding], [embedding])).Keys, Is.EqualTo(new[] { embedding.Name }));
    }

    [Test]
    public void Embeddings_of_different_vocabularies_are_cut_to_common_rows_or_to_the_base()
    {
        MemoryTensor Embedding(params float[] rows) => ToyModels.F32("model.embed_tokens.weight", [rows.Length, 1], rows);
        var models = Models([Embedding(1, 1)], [Embedding(3, 3, 3)], [Embedding(5, 5)], [Embedding(9)]);
        Assert.That(InMemoryMerge.Run(Linear("m0", "m1"), models)["model.embed_tokens.weight"].Floats(), Is.EqualTo(new[] { 4f, 4f }));
        var task = Recipe.For("task_arithmetic").WithBase("base").Add("m0", ("weight", 1.0));
        Assert.That(InMemoryMerge.Run(task, models)["model.embed_tokens.weight"].Floats(), Is.EqualTo(new[] { 3f, 3f }));
        Assert.That(Refusal(task.Add("m2", ("weight", 1.0)), models, MergeError.Models), Does.Contain("shapes differ"));
    }

    [Test]
    public void Gradients_run_over_the_layers_and_start_at_the_embedding()
    {
        MemoryTensor[] Model(float v) =>
            [.. new[] { "model.embed_tokens.weight", "model.layers.0.w", "model.layers.1.w", "model.layers.2.w", "model.norm.weight" }
                .Select(n => ToyModels.F32(n, [1], [v]))];
        var recipe = Recipe.For("linear").With("normalize", 0).Add("m0", ("weight", Setting.Gradient(0, 0.5, 0.3, 0.7, 1)));
        var merged = InMemoryMerge.Run(recipe, Models([], Model(1)));
        Assert.That(merged.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => m.Value.Floats()[0]), Is.EqualTo(new[] { 0f, 0f, 0.3f, 1f, 0f }));
    }

    [Test]
    public void The_output_dtype_is_named_or_the_bases_or_the_promotion()
    {
        var f32 = ToyModels.F32("w", [1], [1]);
        var bf16 = ToyModels.BF16("w", [1], [1]);
        var models = Models([bf16], [f32], [bf16]);
        Assert.Multiple(() =>
        {
            Assert.That(InMemoryMerge.Run(Linear("m0", "m1"), models)["w"].Dtype, Is.EqualTo(Dtype.F32));
            Assert.That(InMemoryMerge.Run(Linear("m0").WithDtype("float32", "float16"), models)["w"].Dtype, Is.EqualTo(Dtype.F16));
            Assert.That(
                InMemoryMerge.Run(Recipe.For("ties").WithBase("base").Add("m0", ("weight", 1.0)), models)["w"].Dtype, Is.EqualTo(Dtype.BF16));
            Assert.That(Refusal(Linear("m0").WithDtype("int64"), models, MergeError.Recipe), Does.Contain("int64"));
        });
    }

    private static MemoryTensor[] Stack(float value, int layers) =>
        [.. Enumerable.Range(0, layers).Select(l => ToyModels.F32($"model.layers.{l}.w", [1], [value + l])),
            ToyModels.F32("model.embed_tokens.weight", [1, 1], [value]), ToyModels.F32("model.norm.weight", [1], [-value])];

    private static RecipeModel Layers(string model, int first, int end, double weight = 1) =>
        new(model) { Layers = (first, end), Parameters = new Dictionary<string, Setting> { ["weight"] = weight } };

    [Test]
    public void Slices_stack_layers_and_number_them_through()
    {
        var models = Models([], Stack(10, 3), Stack(20, 2));
        var recipe = Recipe.For("linear").AddSlice(Layers("m0", 0, 2)).AddSlice(Layers("m1", 0, 2), Layers("m0", 1, 3, 3)).AddSlice(Layers("m1", 1, 2));
        var merged = InMemoryMerge.Run(recipe, models).ToDictionary(m => m.Key, m => m.Value.Floats()[0]);
        Assert.That(merged, Is.EquivalentTo(new Dictionary<string, float>
        {
            ["model.embed_tokens.weight"] = 10,
            ["model.layers.0.w"] = 10,
            ["model.layers.1.w"] = 11,
            ["model.layers.2.w"] = (20 + (3 * 11)) / 4f,
            ["model.layers.3.w"] = (21 + (3 * 12)) / 4f,
            ["model.layers.4.w"] = 21,
            ["model.norm.weight"] = -20,
        }));
    }

    [Test]
    public void What_slices_cannot_give_is_refused()
    {
        var models = Models(Stack(1, 2), Stack(10, 3), Stack(20, 2));
        Assert.Multiple(() =>
        {
            Assert.That(Refusal(Recipe.For("linear").AddSlice(Layers("m1", 1, 3)), models, MergeError.Models), Does.Contain("m1: has no layer 2"));
            Assert.That(
                Refusal(Recipe.For("linear").AddSlice(Layers("m0", 0, 2), Layers("m1", 0, 1)), models, MergeError.Recipe), Does.Contain("same number of layers"));
            Assert.That(
                Refusal(Recipe.For("linear").AddSlice(Linear("m0").Models[0]), models, MergeError.Recipe), Does.Contain("needs a 'layer_range'"));
            Assert.That(
                Refusal(Recipe.For("ties").WithBase("base").AddSlice(Layers("m0", 0, 2)), models, MergeError.Recipe), Does.Contain("must list the base"));
        });
    }

    [Test]
    public void A_slice_s_parameters_win_over_the_modules_and_the_recipes()
    {
        var models = Models([], Stack(1, 1));
        var slice = new RecipeSlice([new RecipeModel("m0") { Layers = (0, 1) }]);
        var recipe = Recipe.For("linear").With("normalize", 0).With("weight", 2) with { Slices = [slice] };
        float Norm(Recipe r) => InMemoryMerge.Run(r, models)["model.norm.weight"].Floats()[0];
        Assert.That(Norm(recipe), Is.EqualTo(-2));
        recipe = recipe with { ModuleParameters = new Dictionary<string, Setting> { ["weight"] = 3 } };
        Assert.That(Norm(recipe), Is.EqualTo(-3));
        recipe = recipe with { Slices = [slice with { Parameters = new Dictionary<string, Setting> { ["weight"] = 4 } }] };
        Assert.That(Norm(recipe), Is.EqualTo(-4));
    }
}
