using System.Globalization;
using System.Text;

namespace FusionKernels.Recipes;

/// <summary>
/// What to merge and how: mergekit's recipe, as data. Read one with <see cref="RecipeReader"/>, or write it in code:
/// <c>Recipe.For("ties").WithBase("base").Add("a", ("weight", 0.5), ("density", 0.2)).With("lambda", 0.4)</c>.
/// Immutable: every method returns a new recipe.
/// </summary>
public sealed record Recipe
{
    /// <summary>The merge method's name.</summary>
    public required string MergeMethod { get; init; }

    /// <summary>
    /// The name by which another recipe takes this one's output for a model (<see cref="Steps"/>), or <c>null</c>.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>
    /// Named recipes whose outputs are models of this one or of each other: a model path that equals a name is that
    /// output. They are computed tensor by tensor where they are needed, not written. They have no steps of their own.
    /// </summary>
    public IReadOnlyList<Recipe> Steps { get; init; } = [];

    /// <summary>A mixture to put together instead of merging (<c>merge_method: moe</c>), or <c>null</c>.</summary>
    public MoeRecipe? Moe { get; init; }

    /// <summary>The base model's path, or <c>null</c>.</summary>
    public string? BaseModel { get; init; }

    /// <summary>The models in order; the base may be among them.</summary>
    public IReadOnlyList<RecipeModel> Models { get; init; } = [];

    /// <summary>The output's layers as a stack of slices, instead of <see cref="Models"/>; empty otherwise.</summary>
    public IReadOnlyList<RecipeSlice> Slices { get; init; } = [];

    /// <summary>Parameters of the recipe's <c>modules: default</c>, between those of slices and of the recipe.</summary>
    public IReadOnlyDictionary<string, Setting> ModuleParameters { get; init; } = RecipeModel.NoParameters;

    /// <summary>Parameters for all models.</summary>
    public IReadOnlyDictionary<string, Setting> Parameters { get; init; } = RecipeModel.NoParameters;

    /// <summary>Working dtype as the recipe names it (float32, bfloat16, ...), or <c>null</c> for the inputs' own.</summary>
    public string? Dtype { get; init; }

    /// <summary>Dtype of the output, or <c>null</c> for <see cref="Dtype"/>.</summary>
    public string? OutDtype { get; init; }

    /// <summary>
    /// The output's vocabulary; <c>null</c> leaves rows as they are and takes over the donor's tokenizer.
    /// </summary>
    public RecipeTokenizer? Tokenizer { get; init; }

    /// <summary>
    /// The output's chat template: <c>auto</c>, a bundled name, or Jinja text; <c>null</c> takes over the donor's.
    /// </summary>
    public string? ChatTemplate { get; init; }

    /// <summary>What becomes of tensors that some model lacks.</summary>
    public MissingTensors MissingTensors { get; init; }

    /// <summary>Where random masks come from.</summary>
    public RandomGenerator Rng { get; init; }

    /// <summary>The recipe's text as it was read; <c>null</c> when it was written in code, or changed since.</summary>
    public string? Text { get; init; }

    /// <summary>The file that it was read from, for messages; <c>null</c> when it was written in code.</summary>
    public string? Origin { get; init; }

    /// <summary>Remarks of a lenient reading: keys that were ignored, with file and line.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>A remark about this recipe, after its file and its name where it has them.</summary>
    internal string Remark(string message) => string.Join(": ", new[] { Origin, Name, message }.OfType<string>());

    /// <summary>An empty recipe for a method.</summary>
    public static Recipe For(string mergeMethod) => new() { MergeMethod = mergeMethod };

    /// <summary>Sets the base model.</summary>
    public Recipe WithBase(string path) => this with { BaseModel = path };

    /// <summary>Adds a model with its own parameters.</summary>
    public Recipe Add(string path, params (string Name, Setting Value)[] parameters) => this with
    {
        Models = [.. Models, new RecipeModel(path) { Parameters = parameters.ToDictionary(p => p.Name, p => p.Value) }],
    };

    /// <summary>Adds a slice: layers of each source, merged.</summary>
    public Recipe AddSlice(params RecipeModel[] sources) => this with { Slices = [.. Slices, new RecipeSlice(sources)] };

    /// <summary>Sets a parameter for all models.</summary>
    public Recipe With(string name, Setting value) => this with
    {
        Parameters = new Dictionary<string, Setting>(Parameters) { [name] = value },
    };

    /// <summary>Sets the working and output dtype.</summary>
    public Recipe WithDtype(string dtype, string? outDtype = null) => this with { Dtype = dtype, OutDtype = outDtype };

    /// <summary>Changes the recipe and its steps alike; it keeps its text where nothing changed.</summary>
    public Recipe Change(Func<Recipe, Recipe> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        var steps = Steps.Select(change).ToArray();
        var changed = change(this);
        return changed == this && steps.SequenceEqual(Steps) ? this : changed with { Steps = steps, Text = null };
    }

    /// <summary>
    /// The recipe as YAML: its own text, or one written from its parts, with a document for each step.
    /// </summary>
    public string ToYaml()
    {
        if (Text is not null)
            return Text;
        var yaml = new StringBuilder();
        foreach (var step in Steps)
            yaml.Append(step.ToYaml()).Append("---\n");
        if (Moe is not null)
            return yaml.Append(Moe.ToYaml()).ToString();
        if (Name is not null)
            yaml.Append("name: ").Append(YamlText.Quote(Name)).Append('\n');
        yaml.Append("merge_method: ").Append(YamlText.Quote(MergeMethod)).Append('\n');
        if (BaseModel is not null)
            yaml.Append("base_model: ").Append(YamlText.Quote(BaseModel)).Append('\n');
        string indent = "";
        if (ModuleParameters.Count > 0)
        {
            yaml.Append("modules:\n  default:\n");
            indent = "    ";
            AppendParameters(ModuleParameters, indent);
        }

        if (Models.Count > 0)
        {
            yaml.Append(indent).Append("models:\n");
            AppendModels(Models, indent + "  ");
        }
        else
        {
            yaml.Append(indent).Append("slices:\n");
            foreach (var slice in Slices)
            {
                yaml.Append(indent).Append("  - sources:\n");
                AppendModels(slice.Sources, indent + "      ");
                if (slice.BaseModel is not null)
                    yaml.Append(indent).Append("    base_model: ").Append(YamlText.Quote(slice.BaseModel)).Append('\n');
                AppendParameters(slice.Parameters, indent + "    ");
            }
        }

        AppendParameters(Parameters, "");
        if (Dtype is not null)
            yaml.Append("dtype: ").Append(YamlText.Quote(Dtype)).Append('\n');
        if (OutDtype is not null)
            yaml.Append("out_dtype: ").Append(YamlText.Quote(OutDtype)).Append('\n');
        Tokenizer?.AppendYaml(yaml);
        if (ChatTemplate is not null)
            yaml.Append("chat_template: ").Append(YamlText.Quote(ChatTemplate)).Append('\n');
        AppendChoice("missing_tensors", MissingTensors);
        AppendChoice("rng", Rng);
        return yaml.ToString();

        void AppendChoice<T>(string key, T choice)
            where T : struct, Enum
        {
            if (!choice.Equals(default(T)))
                yaml.Append(key).Append(": ").Append(choice.ToString().ToLowerInvariant()).Append('\n');
        }

        void AppendModels(IReadOnlyList<RecipeModel> models, string indent)
        {
            foreach (var model in models)
            {
                yaml.Append(indent).Append("- model: ").Append(YamlText.Quote(model.Path)).Append('\n');
                if (model.Layers is { } layers)
                    yaml.Append(indent).Append(CultureInfo.InvariantCulture, $"  layer_range: [{layers.First}, {layers.End}]\n");
                AppendParameters(model.Parameters, indent + "  ");
            }
        }

        void AppendParameters(IReadOnlyDictionary<string, Setting> parameters, string indent)
        {
            if (parameters.Count == 0)
                return;
            yaml.Append(indent).Append("parameters:\n");
            foreach (var (name, value) in parameters)
                yaml.Append(indent).Append("  ").Append(YamlText.Quote(name)).Append(": ").Append(value).Append('\n');
        }
    }
}
