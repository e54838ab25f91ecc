namespace FusionKernels.Kernels;

/// <summary>Memory of a backend (<see cref="IKernelBackend.Allocate"/>); freed when disposed of.</summary>
/// <param name="address">Its address in the backend's address space.</param>
/// <param name="bytes">Its length.</param>
public abstract class BackendMemory(nint address, nint bytes) : IDisposable
{
    /// <summary>Its address, for operands; nothing but a backend's streams can read there.</summary>
    public nint Address => address;

    /// <summary>Its length.</summary>
    public nint Bytes => bytes;

    /// <inheritdoc/>
    public abstract void Dispose();
}
