namespace FusionKernels.Kernels.Reference;

/// <summary>Scalar, one element at a time, and obvious: what the other backends are tested against.</summary>
public sealed class ReferenceBackend : IKernelBackend
{
    /// <inheritdoc/>
    public string Name => "reference";

    /// <inheritdoc/>
    public long MemoryBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <inheritdoc/>
    public int ChunkElements => Reduction.Block;

    /// <inheritdoc/>
    public double MeasureCopy() => Cpu.MemoryCopy.Measure();

    /// <inheritdoc/>
    public IKernelStream OpenStream() => new ReferenceStream();

    /// <inheritdoc/>
    public BackendMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        return new HostMemory(bytes);
    }

    /// <inheritdoc/>
    public bool Holds(Operand operand) => true;

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
