namespace FusionKernels.Kernels.Reference;

/// <summary>TODO.</summary>
public sealed class ReferenceBackend : IKernelBackend
{
    /// <inheritdoc/>
    public string Name => "reference";

    /// <inheritdoc/>
    public IKernelStream OpenStream() => new ReferenceStream();

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
