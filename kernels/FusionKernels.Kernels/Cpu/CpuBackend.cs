namespace FusionKernels.Kernels.Cpu;

/// <summary>TODO.</summary>
public sealed class CpuBackend : IKernelBackend
{
    /// <inheritdoc/>
    public string Name => "cpu";

    /// <inheritdoc/>
    public IKernelStream OpenStream() => new CpuStream();

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
