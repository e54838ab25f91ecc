using System.Diagnostics.CodeAnalysis;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>A model that is merged: its tensors, and where its small files (config, tokenizer) are.</summary>
internal abstract class Model : IDisposable
{
    /// <summary>The folder of config and tokenizer.</summary>
    public abstract string Folder { get; }

    /// <summary>The tensors, in the order of their files.</summary>
    public abstract IReadOnlyCollection<ModelTensor> Tensors { get; }

    /// <summary>Every file that gives tensor bytes.</summary>
    public abstract IEnumerable<ShardFile> Shards { get; }

    /// <summary>Small files that decide the tensors besides the shards, as they were read.</summary>
    public virtual IEnumerable<(string Path, byte[] Text)> Settings => [];

    /// <summary>A small file of the model (config, tokenizer) by its name; <c>null</c> where it has none.</summary>
    public virtual byte[]? ReadFile(string name)
    {
        string path = Path.Combine(Folder, name);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    /// <summary>Those of some small files that the model has.</summary>
    public IEnumerable<(string Name, byte[] Bytes)> ReadFiles(IEnumerable<string> names) =>
        from name in names
        let bytes = ReadFile(name)
        where bytes is not null
        select (name, bytes);

    /// <summary>Finds a tensor by its name.</summary>
    public abstract bool TryGet(string name, [MaybeNullWhen(false)] out ModelTensor tensor);

    /// <inheritdoc/>
    public abstract void Dispose();
}
