using FusionKernels.Execution;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// One tensor of a model that is merged: stored in a file, or computed from stored ones while its bytes are asked for. Passes
/// ask for a chunk at a time, from several threads at once and in any order, and a tensor may be asked for the same bytes in every pass.
/// </summary>
internal abstract unsafe class ModelTensor
{
    /// <summary>The name, unique in the model.</summary>
    public abstract string Name { get; }

    /// <summary>The file that it comes from, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>The element type.</summary>
    public abstract Dtype Dtype { get; }

    /// <summary>Elements per dimension; empty for a scalar.</summary>
    public abstract IReadOnlyList<long> Shape { get; }

    /// <summary>The product of the shape.</summary>
    public abstract long ElementCount { get; }

    /// <summary>Bytes of all elements.</summary>
    public abstract long ByteLength { get; }

    /// <summary>The tensors that it is computed from; none for a stored one.</summary>
    public virtual IEnumerable<ModelTensor> Inputs => [];

    /// <summary>What must be held while its bytes are fetched.</summary>
    public virtual IEnumerable<IHeld> Held => Inputs.SelectMany(i => i.Held);

    /// <summary>Gives a range of the tensor's bytes.</summary>
    /// <param name="byteOffset">First byte.</param>
    /// <param name="byteLength">How many.</param>
    /// <param name="scratch">Room for them.</param>
    /// <returns>Where they are: in <paramref name="scratch"/>, or in memory that lives as long as the model.</returns>
    public abstract byte* Fetch(long byteOffset, nint byteLength, byte* scratch);

    /// <summary>Tells the system that the tensor is read next.</summary>
    public abstract void Prefetch();
}
