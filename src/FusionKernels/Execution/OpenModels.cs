using FusionKernels.Models;
using FusionKernels.Models.Lora;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>The models that a merge has open, by the references of its recipe.</summary>
/// <param name="options">Where relative paths start, and how files are read.</param>
internal sealed class OpenModels(MergeOptions options) : IDisposable
{
    private readonly List<Model> _open = [];
    private readonly SafetensorsOptions _files = new() { Access = options.Access };
    private readonly string _root = Path.GetFullPath(options.ModelRoot ?? Environment.CurrentDirectory);

    /// <summary>Opens a model: a path, or a path and that of a LoRA joined by '+'.</summary>
    public Model Open(string reference)
    {
        // A path of its own may hold a '+'.
        string[] parts = Path.Exists(FullPath(reference)) ? [reference] : reference.Split('+');
        if (parts.Length > 2 || parts.Contains(""))
            throw new MergeException(MergeError.Recipe, $"'{reference}': a model is a path, or path+adapter");
        if (parts.FirstOrDefault(p => p.Contains('@', StringComparison.Ordinal) && !Path.Exists(FullPath(p))) is { } at)
            throw new MergeException(MergeError.Recipe, $"'{at}': revisions are not supported; name the folder");
        Model model = new StoredModel(Checkpoint.Open(FullPath(parts[0]), _files));
        try
        {
            if (parts is [_, var adapter])
                model = LoraModel.Open(model, FullPath(adapter), _files);
        }
        catch
        {
            model.Dispose();
            throw;
        }

        _open.Add(model);
        return model;
    }

    /// <summary>Refuses an output that is, or lies in, the folder of an input; links are followed.</summary>
    /// <exception cref="MergeException">It does.</exception>
    public void RefuseOutputInside(string output)
    {
        var inputs = _open.SelectMany(m => m.Shards).Select(s => Path.GetDirectoryName(s.Path)!).Distinct()
            .DistinctBy(f => Identity(SourceStamp.Of(f))).ToDictionary(f => Identity(SourceStamp.Of(f)));
        for (string? folder = Path.GetFullPath(output); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(folder) && inputs.TryGetValue(Identity(SourceStamp.Of(folder)), out string? input))
                throw new MergeException(MergeError.Output, $"{output}: the output lies in the input folder {input}");
        }

        static (ulong, ulong) Identity(SourceStamp stamp) => (stamp.Device, stamp.Inode);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var model in _open)
            model.Dispose();
    }

    private string FullPath(string path) => Path.GetFullPath(path, _root);
}
