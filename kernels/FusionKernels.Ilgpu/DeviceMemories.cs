using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>The device memory that a backend has given out, by address.</summary>
/// <param name="accelerator">The device.</param>
internal sealed class DeviceMemories(Accelerator accelerator)
{
    // Above what processors address. Kernels read in groups of eight elements, of which the last may go beyond the end.
    private const long FirstAddress = 1L << 62, Alignment = 256, Slack = 64;

    private readonly SortedList<nint, DeviceMemory> _memories = [];
    private readonly Lock _lock = new();
    private long _next = FirstAddress;

    /// <summary>Allocates.</summary>
    public DeviceMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        var buffer = accelerator.Allocate1D<byte>(bytes + Slack);
        lock (_lock)
        {
            var memory = new DeviceMemory(this, buffer, (nint)_next, bytes);
            _next += (bytes + Slack + Alignment - 1) / Alignment * Alignment;
            _memories.Add(memory.Address, memory);
            return memory;
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
                : throw new ArgumentOutOfRangeException(nameof(address), "memory that was freed, or of another backend");
        }
    }

    /// <summary>Forgets memory that is freed.</summary>
    /// <returns>Whether it was not yet.</returns>
    public bool Remove(nint address)
    {
        lock (_lock)
            return _memories.Remove(address);
    }
}
