using System.Diagnostics;
using FusionKernels.Kernels.Cpu;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// A queue of the device with memory of its own: one partial file per kernel. A call brings its operands to the device,
/// runs, brings the results back, and returns when they are there; several streams overlap.
/// </summary>
internal sealed unsafe partial class IlgpuStream : IKernelStream
{
    private const int GroupSize = 256;

    // Every thread of the CPU accelerator is one of the system's.
    private const int GroupSizeOnCpu = 8;

    // Beyond this many groups a thread takes several items: enough to fill a multiprocessor, and to spread what is
    // left.
    private const int GroupsPerMultiprocessor = 16;

    // Every view begins at a multiple of this, so wide accesses are aligned. The size of what a view holds must divide
    // it, because a view counts the place where it begins in elements.
    private const int Alignment = 256;

    private readonly IlgpuBackend _backend;
    private readonly AcceleratorStream _queue;
    private readonly Staging _staging;
    private readonly IKernelStream _host = new CpuBackend().OpenStream();
    private readonly List<HeldMemory> _held = [];
    private DeviceMemory? _memory;
    private long _taken;

    public IlgpuStream(IlgpuBackend backend)
    {
        _backend = backend;
        _queue = backend.Accelerator.CreateStream();
        _staging = new Staging(backend, _queue);
    }

    /// <summary>Whether a call returns only when its results are there, also those that stay on the device.</summary>
    internal bool IsWaiting { get; init; } = true;

    public void Dispose()
    {
        _host.Dispose();
        _memory?.Dispose();
        try
        {
            _staging.Dispose();
            _queue.Dispose();
        }
        catch (AcceleratorException)
        {
            // A device that is lost has nothing to free.
        }
    }

    public void Hold(void* memory, long bytes) => _held.Add(new HeldMemory((nint)memory, bytes));

    // A worker that moves on releases one part after the other; the copies follow each other, so the first takes all.
    public void Release(void* memory, long bytes)
    {
        if (_held.Exists(h => h.Overlaps((nint)memory, bytes)))
            _held.Clear();
    }

    /// <summary>
    /// Begins a call: all device memory is free again but for what is held, which is brought there first, and at least
    /// <paramref name="bytes"/> can be taken.
    /// </summary>
    private void Begin(long bytes)
    {
        long held = _held.Sum(h => Room<byte>(h.Bytes));
        if (held + bytes > _backend.StreamBytes)
        {
            _held.Clear();
            held = 0;
        }

        if (_memory is null || _memory.Bytes < held + bytes)
        {
            _held.ForEach(h => h.Place = HeldMemory.Nowhere);
            _memory?.Dispose();
            _memory = null;
            _memory = _backend.TakeMemory(Math.Max(Alignment, held + bytes));
        }

        // Places follow each other in the order of the list, so what is there already stays.
        _taken = 0;
        foreach (var memory in _held)
        {
            long place = TakeBytes(memory.Bytes);
            if (memory.Place == place)
                continue;
            memory.Place = place;
            Upload((byte*)memory.Address, At<byte>(place, memory.Bytes));
        }
    }

    /// <summary>Where bytes of the host lie in device memory because they are held; negative if they do not.</summary>
    private long PlaceHeld(nint address, long bytes)
    {
        foreach (var memory in _held)
        {
            if (memory.Address <= address && address + bytes <= memory.Address + memory.Bytes)
                return memory.Place + (address - memory.Address);
        }

        return HeldMemory.Nowhere;
    }

    /// <summary>Bytes of device memory that <see cref="Take"/> uses up for so many elements.</summary>
    private static long Room<T>(long length)
        where T : unmanaged => ((length * sizeof(T)) + Alignment - 1) / Alignment * Alignment;

    /// <summary>Device memory for the rest of the call, of any contents.</summary>
    private ArrayView<T> Take<T>(long length)
        where T : unmanaged => At<T>(TakeBytes(length * sizeof(T)), length);

    /// <summary>Likewise, as its place within the stream's memory.</summary>
    private long TakeBytes(long bytes)
    {
        long place = _taken;
        _taken += Room<byte>(bytes);
        return place;
    }

    /// <summary>The stream's memory at a place.</summary>
    private ArrayView<T> At<T>(long place, long length)
        where T : unmanaged
    {
        Debug.Assert(place % sizeof(T) == 0, $"A view of {typeof(T)} would begin elsewhere.");
        return _memory!.View.SubView(place, length * sizeof(T)).Cast<T>();
    }

    /// <summary>Takes device memory and begins to fill it from the host's.</summary>
    private ArrayView<T> Upload<T>(T* host, long length)
        where T : unmanaged
    {
        var view = Take<T>(length);
        Upload((byte*)host, view.Cast<byte>());
        return view;
    }

    private void Upload(byte* host, ArrayView<byte> view) => _backend.Guard(() => _staging.Upload(host, view));

    /// <summary>Begins to make a view zero.</summary>
    private void Clear<T>(ArrayView<T> view)
        where T : unmanaged => _backend.Guard(() => view.MemSetToZero(_queue));

    /// <summary>Waits for the queue and brings a view's contents to the host.</summary>
    private void Download<T>(ArrayView<T> view, T* host)
        where T : unmanaged => _backend.Guard(() => _staging.Download(view.Cast<byte>(), (byte*)host));

    /// <summary>Threads of a group, for kernels that ask for none in particular.</summary>
    private int Threads => _backend.Accelerator.AcceleratorType == AcceleratorType.CPU ? GroupSizeOnCpu : GroupSize;

    /// <summary>Waits until everything that was asked for is done.</summary>
    internal void Wait() => _backend.Guard(_queue.Synchronize);

    /// <summary>Runs a kernel by a grid of groups of its own.</summary>
    internal void LaunchGrid<TArguments>(
        Action<TArguments> kernel, in TArguments arguments, Index2D groups, int threads)
        where TArguments : struct
    {
        if (groups.Size > 0)
            _backend.Launch(_queue, kernel, arguments, new KernelConfig(groups, new Index2D(threads, 1)));
    }

    /// <summary>Runs a kernel whose threads take <paramref name="items"/> items in turn (grid-stride).</summary>
    internal void Launch<TArguments>(
        Action<TArguments> kernel,
        in TArguments arguments,
        long items,
        int groupsPerMultiprocessor = GroupsPerMultiprocessor)
        where TArguments : struct
    {
        if (items > 0)
            LaunchGroups(kernel, arguments, (items + Threads - 1) / Threads, default, groupsPerMultiprocessor);
    }

    /// <summary>Runs a kernel whose groups take <paramref name="items"/> items in turn.</summary>
    private void LaunchGroups<TArguments>(
        Action<TArguments> kernel,
        in TArguments arguments,
        long items,
        SharedMemoryConfig shared = default,
        int groupsPerMultiprocessor = GroupsPerMultiprocessor)
        where TArguments : struct
    {
        int groups = (int)Math.Min(items, (long)_backend.Accelerator.NumMultiprocessors * groupsPerMultiprocessor);
        if (groups > 0)
            _backend.Launch(_queue, kernel, arguments, new KernelConfig(groups, Threads, shared));
    }

    /// <summary>Host memory that keeps its contents.</summary>
    private sealed class HeldMemory(nint address, long bytes)
    {
        public const long Nowhere = -1;

        public nint Address => address;

        public long Bytes => bytes;

        /// <summary>Where it is in device memory.</summary>
        public long Place { get; set; } = Nowhere;

        public bool Overlaps(nint other, long length) => address < other + length && other < address + bytes;
    }
}
