using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// The kernels on a device that ILGPU drives: CUDA, OpenCL, or ILGPU's own CPU accelerator, which is for tests with
/// tiny inputs. Operands in host memory stay there: a stream brings them to the device and the results back.
/// </summary>
public sealed class IlgpuBackend : IKernelBackend
{
    private const long CopyBytes = 256L << 20;
    private const int CopyRounds = 5, CopiesPerRound = 4;
    private const long StreamsInMemory = 64, MostStreamBytes = 1L << 30;

    // Of the device's memory: the driver's own, and the code of kernels, must have room.
    private const double DefaultShare = 15.0 / 16;

    private readonly Context _context;
    private readonly ConcurrentDictionary<MethodInfo, Delegate> _kernels = new();
    private readonly Lock _launching = new();

    private IlgpuBackend(Context context, Accelerator accelerator, string id, long budget)
    {
        (_context, Accelerator) = (context, accelerator);
        Name = $"{id} ({accelerator.Name.Trim()})";
        budget = budget > 0 ? budget : (long)(DefaultShare * MemoryBytes);
        Memories = new DeviceMemories(accelerator, Name, budget);
        StreamBytes = Math.Min(budget / StreamsInMemory, MostStreamBytes);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long MemoryBytes => Accelerator.AcceleratorType == AcceleratorType.CPU
        ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes
        : Accelerator.MemorySize;

    /// <summary>
    /// On a device most tensors whole, which are then brought over once for all passes.
    /// </summary>
    public int ChunkElements => Accelerator.AcceleratorType == AcceleratorType.CPU ? 1 << 16 : 1 << 24;

    /// <summary>Device memory that a stream keeps to, unless a single call needs more.</summary>
    internal long StreamBytes { get; }

    /// <summary>The device.</summary>
    internal Accelerator Accelerator { get; }

    /// <summary>The ids of the machine's devices, as <see cref="Open"/> takes them: those of CUDA first.</summary>
    public static IReadOnlyList<string> Devices()
    {
        using var context = NewContext();
        return [.. Ids(context).Select(d => d.Id)];
    }

    /// <summary>Opens a device.</summary>
    /// <param name="id">One of <see cref="Devices"/>: <c>cuda:0</c>, <c>opencl:0</c>, <c>ilgpu-cpu</c>.</param>
    /// <param name="memoryBytes">
    /// What all streams and matrices may take of the device's memory; beyond that a call throws
    /// <see cref="DeviceException"/>. 0 is all but a sixteenth of it.
    /// </param>
    /// <exception cref="ArgumentException">The machine has no such device.</exception>
    /// <exception cref="DeviceException">It cannot be used.</exception>
    public static IlgpuBackend Open(string id, long memoryBytes = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(memoryBytes);
        var context = NewContext();
        try
        {
            var found = Ids(context).FirstOrDefault(d => d.Id == id).Device
                ?? throw new ArgumentException($"this machine has no device '{id}'", nameof(id));
            if (found.Capabilities is CLCapabilityContext { Float64: false })
                throw new DeviceException($"{id} ({found.Name.Trim()}) has no fp64, which reductions need");
            return new IlgpuBackend(context, found.CreateAccelerator(context), id, memoryBytes);
        }
        catch (Exception e)
        {
            context.Dispose();
            if (e is AcceleratorException or CapabilityNotSupportedException)
                throw new DeviceException($"{id} cannot be used: {e.Message.ReplaceLineEndings(" ")}", e);
            throw;
        }
    }

    /// <summary>Takes memory of the device.</summary>
    internal DeviceMemory TakeMemory(long bytes) => Guard(() => Memories.Allocate((nint)bytes));

    /// <summary>The device's memory that was given out.</summary>
    internal DeviceMemories Memories { get; }

    /// <inheritdoc/>
    public IKernelStream OpenStream() => Guard(() => new IlgpuStream(this));

    /// <inheritdoc/>
    public double MeasureCopy() => Guard(() =>
    {
        // Random bytes, in pieces larger than any cache; the first round warms up.
        long bytes = Math.Min(CopyBytes, StreamBytes / 2);
        byte[] random = new byte[bytes];
        new Random(1).NextBytes(random);
        using DeviceMemory from = TakeMemory(bytes), to = TakeMemory(bytes);
        using var queue = Accelerator.CreateStream();
        from.View.SubView(0, bytes).CopyFromCPU(queue, random);
        double best = 0;
        for (int round = 0; round <= CopyRounds; round++)
        {
            using var begin = queue.AddProfilingMarker();
            for (int copy = 0; copy < CopiesPerRound; copy++)
                to.View.CopyFrom(queue, from.View);
            using var end = queue.AddProfilingMarker();
            end.Synchronize();
            if (round > 0)
                best = Math.Max(best, 2.0 * CopiesPerRound * bytes / (end - begin).TotalSeconds);
        }

        return best;
    });

    /// <inheritdoc/>
    public BackendMemory Allocate(nint bytes) => TakeMemory(bytes);

    /// <inheritdoc/>
    public bool Holds(Operand operand) => Memories.Find(operand.Address) is not null;

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Accelerator.Dispose();
        }
        catch (AcceleratorException)
        {
            // A device that is lost has nothing to free.
        }

        _context.Dispose();
    }

    /// <summary>
    /// Runs a kernel on a stream; it is compiled at its first run. A kernel has one argument, a struct of views and
    /// numbers.
    /// </summary>
    /// <param name="queue">The stream.</param>
    /// <param name="kernel">A static method.</param>
    /// <param name="arguments">Its argument.</param>
    /// <param name="config">Groups and threads.</param>
    internal void Launch<TArguments>(
        AcceleratorStream queue, Action<TArguments> kernel, in TArguments arguments, KernelConfig config)
        where TArguments : struct
    {
        var copy = arguments;
        Guard(() =>
        {
            // A compiled kernel holds the arguments of its next launch, so threads launch one after the other.
            lock (_launching)
            {
                // Loading, unlike launching, is done in whatever context the thread has.
                Accelerator.Bind();
                var launch = (Action<AcceleratorStream, KernelConfig, TArguments>)_kernels.GetOrAdd(
                    kernel.Method, _ => Accelerator.LoadKernel(kernel));
                launch(queue, config, copy);
            }
        });
    }

    /// <summary>Runs what can fail for the device's sake, and says so.</summary>
    internal T Guard<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is AcceleratorException or OutOfMemoryException or InternalCompilerException)
        {
            throw new DeviceException($"{Name} failed: {e.Message.ReplaceLineEndings(" ")}", e);
        }
    }

    /// <summary>Likewise.</summary>
    internal void Guard(Action action) => Guard(() =>
    {
        action();
        return true;
    });

    private static Context NewContext()
    {
        DeviceLibraries.Find();
        return Context.Create(builder => builder
            .Optimize(OptimizationLevel.O2)
            .Profiling()
            .CPU(new CPUDevice(numThreadsPerWarp: 32, numWarpsPerMultiprocessor: 8, numMultiprocessors: 1))
            .OpenCL()
            .Cuda());
    }

    private static IEnumerable<(string Id, Device Device)> Ids(Context context)
    {
        foreach (var (prefix, type) in new[] { ("cuda", AcceleratorType.Cuda), ("opencl", AcceleratorType.OpenCL) })
        {
            int ordinal = 0;
            foreach (var device in context.Devices.Where(d => d.AcceleratorType == type))
                yield return ($"{prefix}:{ordinal++}", device);
        }

        yield return ("ilgpu-cpu", context.Devices.First(d => d.AcceleratorType == AcceleratorType.CPU));
    }
}
