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

    /// <summary>Finds a tensor by its name.</summary>
    public abstract bool TryGet(string name, [MaybeNullWhen(false)] out ModelTensor tensor);

    /// <inheritdoc/>
    public abstract void Dispose();
}
