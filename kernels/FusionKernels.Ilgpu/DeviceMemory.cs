using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// Device memory that operands lie in. Not every driver's memory has an address (OpenCL's has a handle), so all of it
/// gets addresses that no host memory has, one after the other.
/// </summary>
internal sealed class DeviceMemory : BackendMemory
{
    private readonly DeviceMemories _all;
    private readonly MemoryBuffer1D<byte, Stride1D.Dense> _buffer;

    public DeviceMemory(DeviceMemories all, MemoryBuffer1D<byte, Stride1D.Dense> buffer, nint address, nint bytes)
        : base(address, bytes) => (_all, _buffer) = (all, buffer);

    /// <summary>The device's view of all of it.</summary>
    public ArrayView<byte> View => _buffer.View.BaseView;

    /// <summary>The device's view from an address on.</summary>
    public ArrayView<byte> From(nint address) => View.SubView(address - Address);

    public override void Dispose()
    {
        if (!_all.Remove(this))
            return;
        try
        {
            _buffer.Dispose();
        }
        catch (AcceleratorException)
        {
            // A device that is lost has nothing to free.
        }
    }
}
