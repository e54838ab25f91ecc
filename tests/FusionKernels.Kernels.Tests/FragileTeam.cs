using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// A device with memory of its own, and a team of one on it: of the allocations and the items that run, one fails.
/// </summary>
/// <param name="failing">Which one, from 1.</param>
internal sealed class FragileTeam(int failing) : IStreamTeam, IKernelBackend
{
    private readonly CpuBackend _cpu = new();
    private readonly HashSet<nint> _given = [];
    private int _calls;

    /// <summary>Blocks of memory that nobody has freed.</summary>
    public int Blocks => _given.Count;

    public IKernelBackend Backend => this;

    public int Count => 1;

    public string Name => "fragile";

    public long MemoryBytes => _cpu.MemoryBytes;

    public int ChunkElements => _cpu.ChunkElements;

    public double MeasureCopy() => 1;

    public IKernelStream OpenStream() => _cpu.OpenStream();

    public BackendMemory Allocate(nint bytes)
    {
        Call();
        return new Memory(this, _cpu.Allocate(bytes));
    }

    public bool Holds(Operand operand) => _given.Contains(operand.Address);

    public void Run(int items, Action<IKernelStream, int> body)
    {
        using IKernelStream stream = OpenStream();
        for (int item = 0; item < items; item++)
        {
            Call();
            body(stream, item);
        }
    }

    public void Dispose() => _cpu.Dispose();

    private void Call()
    {
        if (++_calls == failing)
            throw new DeviceException("lost");
    }

    private sealed class Memory : BackendMemory
    {
        private readonly FragileTeam _device;
        private readonly BackendMemory _memory;

        public Memory(FragileTeam device, BackendMemory memory)
            : base(memory.Address, memory.Bytes)
        {
            (_device, _memory) = (device, memory);
            device._given.Add(Address);
        }

        public override void Dispose()
        {
            if (_device._given.Remove(Address))
                _memory.Dispose();
        }
    }
}
