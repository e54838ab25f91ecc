using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>All memory of a device that a backend uses, by address; its sum stays within a budget.</summary>
/// <param name="accelerator">The device.</param>
/// <param name="name">Its name.</param>
/// <param name="budget">Bytes that may be used at once.</param>
internal sealed class DeviceMemories(Accelerator accelerator, string name, long budget)
{
    // Above what processors address. Kernels read in groups of eight elements, of which the last may go beyond the end.
    private const long FirstAddress = 1L << 62, Alignment = 256, Slack = 64;

    private readonly SortedList<nint, DeviceMemory> _memories = [];
    private readonly Lock _lock = new();
    private long _next = FirstAddress, _used;

    /// <summary>Allocates.</summary>
    /// <exception cref="DeviceException">The budget, or the device's memory, has not so much left.</exception>
    public DeviceMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        lock (_lock)
        {
            if (bytes > budget - _used)
                throw Exhausted(bytes, null);
            try
            {
                var buffer = accelerator.Allocate1D<byte>(bytes + Slack);
                var memory = new DeviceMemory(this, buffer, (nint)_next, bytes);
                _next += (bytes + Slack + Alignment - 1) / Alignment * Alignment;
                _used += bytes;
                _memories.Add(memory.Address, memory);
                return memory;
            }
            catch (Exception e) when (
                e is OutOfMemoryException
                    or CudaException { Error: nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY) }
                    or CLException { Error: CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE or CLError.CL_OUT_OF_RESOURCES })
            {
                throw Exhausted(bytes, e);
            }
        }
    }

    /// <summary>What an address lies in; <c>null</c> for one of the host's.</summary>
    public DeviceMemory? Find(nint address)
    {
        if (address < FirstAddress)
            return null;
        lock (_lock)
        {
            int low = 0, high = _memories.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                (low, high) = _memories.GetKeyAtIndex(middle) <= address ? (middle + 1, high) : (low, middle);
            }

            DeviceMemory? memory = low > 0 ? _memories.GetValueAtIndex(low - 1) : null;
            return memory is not null && address < memory.Address + memory.Bytes
                ? memory
                : throw new ArgumentOutOfRangeException(
                    nameof(address), "memory that was freed, or of another backend");
        }
    }

    /// <summary>Forgets memory that is freed.</summary>
    /// <returns>Whether it was not yet.</returns>
    public bool Remove(DeviceMemory memory)
    {
        lock (_lock)
        {
            bool found = _memories.Remove(memory.Address);
            _used -= found ? memory.Bytes : 0;
            return found;
        }
    }

    private DeviceException Exhausted(nint bytes, Exception? cause) => new(
        $"{name} has no {bytes} bytes for a call: {_used} of {budget} are in use", cause) { IsOutOfMemory = true };
}
