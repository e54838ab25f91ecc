using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>The models that a merge has open, by the paths of its recipe.</summary>
/// <param name="options">Where relative paths start, and how files are read.</param>
internal sealed class OpenModels(MergeOptions options) : IDisposable
{
    private readonly List<Model> _open = [];

    /// <summary>Opens a model.</summary>
    public Model Open(string path)
    {
        string full = Path.GetFullPath(path, options.ModelRoot is null ? Environment.CurrentDirectory : Path.GetFullPath(options.ModelRoot));
        var model = new StoredModel(Checkpoint.Open(full, new SafetensorsOptions { Access = options.Access }));
        _open.Add(model);
        return model;
    }

    /// <summary>Refuses an output that is, or lies in, the folder of an input; links are followed.</summary>
    /// <exception cref="MergeException">It does.</exception>
    public void RefuseOutputInside(string output)
    {
        var inputs = _open.Select(m => m.Folder).Distinct().ToDictionary(f => Identity(SourceStamp.Of(f)), f => f);
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
}
