using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>The page-locked memory that a backend has given out.</summary>
/// <param name="accelerator">The device.</param>
internal sealed class PageLockedMemories(Accelerator accelerator)
{
    private readonly List<PageLockedMemory> _memories = [];
    private readonly Lock _lock = new();

    /// <summary>Allocates.</summary>
    public PageLockedMemory Allocate(nint bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        var memory = new PageLockedMemory(this, accelerator, bytes);
        lock (_lock)
            _memories.Add(memory);
        return memory;
    }

    /// <summary>Whether bytes lie in such memory.</summary>
    public bool Hold(nint address, long bytes)
    {
        lock (_lock)
            return _memories.Exists(m => m.Address <= address && address + bytes <= m.Address + m.Bytes);
    }

    /// <summary>Forgets memory that is freed.</summary>
    /// <returns>Whether it was not yet.</returns>
    public bool Remove(PageLockedMemory memory)
    {
        lock (_lock)
            return _memories.Remove(memory);
    }
}
