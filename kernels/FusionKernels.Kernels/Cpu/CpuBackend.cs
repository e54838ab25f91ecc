using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// The SIMD backend. Every kernel is generic over <see cref="ICpuLanes{T}"/>, so the one decision about instruction
/// sets is which lanes a stream is opened with: the widest that the processor and the runtime's settings accelerate.
/// </summary>
public sealed class CpuBackend : IKernelBackend
{
    private readonly int _bits;

    /// <summary>A backend of the widest lanes.</summary>
    public CpuBackend()
        : this(WidestBits)
    {
    }

    /// <summary>
    /// A backend of a given register width: 512, 256, 128, or 32 for scalar lanes. Slow where not accelerated.
    /// </summary>
    internal CpuBackend(int bits) => _bits = bits;

    /// <inheritdoc/>
    public string Name => $"cpu ({_bits}-bit)";

    /// <inheritdoc/>
    public long MemoryBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>A worker's inputs and output of a four-model bf16 merge (5 x 128 KiB) stay within its second cache.</summary>
    public int ChunkElements => 1 << 16;

    internal static int WidestBits =>
        Vector512.IsHardwareAccelerated ? 512
        : Vector256.IsHardwareAccelerated ? 256
        : Vector128.IsHardwareAccelerated ? 128
        : 32;

    /// <inheritdoc/>
    public IKernelStream OpenStream() => _bits switch
    {
        512 => new CpuStream<F32x16>(),
        256 => new CpuStream<F32x8>(),
        128 => new CpuStream<F32x4>(),
        _ => new CpuStream<F32x1>(),
    };

    /// <inheritdoc/>
    public BackendMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        return new HostMemory(bytes);
    }

    /// <inheritdoc/>
    public bool Holds(Operand operand) => true;

    /// <inheritdoc/>
    public double MeasureCopy() => MemoryCopy.Measure();

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
