using FusionKernels.Models;
using FusionKernels.Models.Lora;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// The models that a merge has open, by the references of its recipe, and the steps that it takes for models.
/// </summary>
internal sealed class OpenModels : IDisposable
{
    private readonly MergeOptions _options;
    private readonly SafetensorsOptions _files;
    private readonly string _root;
    private readonly Dictionary<string, Recipe> _steps = [];
    private readonly Dictionary<string, Model> _open = [];
    private readonly Dictionary<string, Model> _merged = [];
    private readonly List<string> _planning = [];

    /// <summary>No models yet.</summary>
    /// <param name="options">Where relative paths start, and how files are read.</param>
    /// <param name="steps">Named recipes; a path that equals a name is that recipe's output.</param>
    /// <exception cref="MergeException">A step has no name, or that of another.</exception>
    public OpenModels(MergeOptions options, params IReadOnlyList<Recipe> steps)
    {
        _options = options;
        _files = new SafetensorsOptions { Access = options.Access };
        _root = Path.GetFullPath(options.ModelRoot ?? Environment.CurrentDirectory);
        foreach (var step in steps)
        {
            if (!_steps.TryAdd(step.Name ?? throw new MergeException(MergeError.Recipe, "a step has no name"), step))
                throw new MergeException(MergeError.Recipe, $"two recipes are called '{step.Name}'");
        }
    }

    /// <summary>The steps that no model of the merge is, nor of its steps.</summary>
    public IEnumerable<string> Unused => _steps.Keys.Except(_merged.Keys);

    /// <summary>Opens a model once: a path or a step's name, alone or joined by '+' with the path of a LoRA.</summary>
    public Model Open(string reference)
    {
        if (_steps.TryGetValue(reference, out var step))
            return _merged.TryGetValue(reference, out var merged) ? merged : _merged[reference] = Plan(step, reference);
        if (!_open.TryGetValue(reference, out var model))
            _open.Add(reference, model = OpenFiles(reference));
        return model;
    }

    private Model OpenFiles(string reference)
    {
        // A path of its own may hold a '+'.
        string[] parts = Path.Exists(FullPath(reference)) ? [reference] : reference.Split('+');
        if (parts.Length > 2 || parts.Contains(""))
            throw new MergeException(MergeError.Recipe, $"'{reference}': a model is a path, or path+adapter");
        if (parts.FirstOrDefault(p => p.Contains('@', StringComparison.Ordinal) && !Path.Exists(FullPath(p))) is { } at)
            throw new MergeException(MergeError.Recipe, $"'{at}': revisions are not supported; name the folder");
        string path = FullPath(parts[0]);
        bool isStep = _steps.ContainsKey(parts[0]);
        if (_steps.Count > 0 && !isStep && !Path.Exists(path))
        {
            string nearest = Spelling.Suggest(parts[0], _steps.Keys);
            throw new SourceUnavailableException(
                path, $"does not exist, and no recipe is called '{parts[0]}'{nearest}");
        }

        Model model = isStep ? Open(parts[0]) : new StoredModel(Checkpoint.Open(path, _files));
        try
        {
            return parts is [_, var adapter] ? LoraModel.Open(model, FullPath(adapter), _files) : model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private MergedModel Plan(Recipe step, string name)
    {
        if (_planning.Contains(name))
        {
            var names = _planning.SkipWhile(n => n != name).Append(name);
            string circle = string.Join(" needs ", names.Select(n => $"'{n}'"));
            throw new MergeException(MergeError.Recipe, $"the recipes go round in a circle: {circle}");
        }

        _planning.Add(name);
        try
        {
            return new MergedModel(name, Planner.Plan(step, _options, Open));
        }
        catch (MergeException e)
        {
            throw e.At(name);
        }
        finally
        {
            _planning.Remove(name);
        }
    }

    /// <summary>The files of all models that are open.</summary>
    public IEnumerable<ShardFile> Shards => _open.Values.SelectMany(m => m.Shards);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var model in _open.Values)
            model.Dispose();
    }

    private string FullPath(string path) => Path.GetFullPath(path, _root);
}
