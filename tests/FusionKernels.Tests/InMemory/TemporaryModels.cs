using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>Models of memory as folders of files, for what needs files; deleted in the end.</summary>
internal sealed class TemporaryModels : IDisposable
{
    public TemporaryModels(IReadOnlyDictionary<string, MemoryTensor[]> models)
    {
        foreach (var (name, tensors) in models)
        {
            Directory.CreateDirectory(this[name]);
            (TensorSpec, ReadOnlyMemory<byte>)[] contents =
                [.. tensors.Select(t => (new TensorSpec(t.Name, t.Dtype, t.Shape), t.Bytes))];
            SafetensorsWriter.Write(Path.Combine(this[name], "model.safetensors"), contents);
        }
    }

    /// <summary>The folder of all models.</summary>
    public string Root { get; } = Directory.CreateTempSubdirectory("models-").FullName;

    /// <summary>The folder of a model, or of an output.</summary>
    public string this[string name] => Path.Combine(Root, name);

    /// <summary>Writes a small file of a model.</summary>
    public void Write(string model, string file, string text) =>
        File.WriteAllText(Path.Combine(this[model], file), text);

    /// <summary>Whether a model has a file.</summary>
    public bool Has(string model, string file) => File.Exists(Path.Combine(this[model], file));

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Root, recursive: true);
}
