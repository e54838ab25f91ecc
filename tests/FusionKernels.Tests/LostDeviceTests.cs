using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>
/// A device that fails at any of its calls leaves the bytes that the CPU would have written, and a warning; one that
/// only runs out of memory is used again for the next tensor.
/// </summary>
public class LostDeviceTests
{
    private static readonly Dictionary<string, MemoryTensor[]> Models = ToyModels.Family(
        2,
        ("wide.weight", [3, 9000]), ("model.a.weight", [16, 32]), ("model.b.weight", [16, 32]), ("model.c.weight", [64]));

    private static readonly Recipe Ties = Recipe.For("ties").WithBase("base")
        .Add("m0", ("weight", 0.5), ("density", 0.5)).Add("m1", ("weight", 0.25), ("density", 0.25));

    [TestCase(1)]
    [TestCase(3)]
    public void A_merge_goes_on_on_the_cpu(int threads)
    {
        var options = new MergeOptions { Threads = threads, ChunkElements = Reduction.Block };
        var expected = new MemoryStore();
        InMemoryMerge.Into(expected, Ties, Models, out _, options);
        int calls = 0;
        for (bool failed = true; failed; calls++)
        {
            using var backend = new FragileBackend(calls);
            var store = new MemoryStore();
            var report = InMemoryMerge.Into(store, Ties, Models, out _, options with { Backend = backend });
            failed = backend.Failed;
            Assert.That(report.Warnings, Has.Count.EqualTo(failed ? 1 : 0));
            if (failed)
                Assert.That(report.Warnings[0], Does.Match("^lost; merged on the CPU: .*weight, and what came after$"));
            byte[] bytes = store.Files["model.safetensors"];
            Assert.That(bytes, Is.EqualTo(expected.Files["model.safetensors"]), $"after {calls} calls");
        }

        Assert.That(calls, Is.GreaterThan(10));
    }

    [TestCase(1)]
    [TestCase(3)]
    public void A_tensor_for_which_a_device_lacks_memory_goes_to_the_cpu_alone(int threads)
    {
        var options = new MergeOptions { Threads = threads, ChunkElements = Reduction.Block };
        var expected = new MemoryStore();
        InMemoryMerge.Into(expected, Ties, Models, out _, options);
        using var backend = new FragileBackend(int.MaxValue) { MostElements = 600 };
        var store = new MemoryStore();
        var report = InMemoryMerge.Into(store, Ties, Models, out _, options with { Backend = backend });
        Assert.That(report.Warnings, Is.EqualTo(["full; merged on the CPU: wide.weight"]));
        Assert.That(store.Files["model.safetensors"], Is.EqualTo(expected.Files["model.safetensors"]));
        Assert.That(backend.Combined, Is.EqualTo(512 + 512 + 64), "elements of the other tensors");
    }

    /// <summary>The CPU's kernels until a number of calls, then none any more.</summary>
    private sealed class FragileBackend(int calls) : IKernelBackend
    {
        private readonly CpuBackend _cpu = new();
        private int _left = calls, _combined;

        public string Name => "fragile";

        public long MemoryBytes => _cpu.MemoryBytes;

        public int ChunkElements => _cpu.ChunkElements;

        /// <summary>Larger chunks do not fit.</summary>
        public int MostElements { get; init; } = int.MaxValue;

        public bool Failed => Volatile.Read(ref _left) < 0;

        /// <summary>Elements that it has combined.</summary>
        public int Combined => Volatile.Read(ref _combined);

        public double MeasureCopy() => 1;

        public BackendMemory Allocate(nint bytes) => _cpu.Allocate(bytes);

        public bool Holds(Operand operand) => true;

        public IKernelStream OpenStream() => new FragileStream(this, _cpu.OpenStream());

        public void Dispose() => _cpu.Dispose();

        public void Call(int elements)
        {
            if (elements > MostElements)
                throw new DeviceException("full") { IsOutOfMemory = true };
            if (Interlocked.Decrement(ref _left) < 0)
                throw new DeviceException("lost");
        }

        public void Finish(int elements) => Interlocked.Add(ref _combined, elements);
    }

    private sealed unsafe class FragileStream(FragileBackend device, IKernelStream cpu) : IKernelStream
    {
        public void Hold(void* memory, long bytes) => cpu.Hold(memory, bytes);

        public void Release(void* memory, long bytes) => cpu.Release(memory, bytes);

        // What it was writing is lost with the device.
        public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
            where TRule : struct, ICombineRule
        {
            new Span<byte>((void*)output.Address, chunk.Length * output.Type.Size()).Fill(0xA5);
            device.Call(chunk.Length);
            cpu.Combine(chunk, rule, output);
            device.Finish(chunk.Length);
        }

        public void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms)
        {
            device.Call(chunk.Length);
            cpu.Histogram(chunk, histograms);
        }

        public long FindTie(in Chunk chunk, uint bits, ref long rank)
        {
            device.Call(chunk.Length);
            return cpu.FindTie(chunk, bits, ref rank);
        }

        // Hundreds of short calls, all alike: they do not fail.
        public int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes) =>
            cpu.SampleMagnitudes(chunk, stride, magnitudes);

        public void Gram(in Chunk chunk, Span<double> partials) => throw new NotSupportedException();

        public void AbsoluteSum(in Chunk chunk, Span<double> partials) => throw new NotSupportedException();

        public void Compare(Operand left, Operand right, int length, ref Difference difference) =>
            throw new NotSupportedException();

        public void WriteMask(in Chunk chunk, Span<byte> bits) => throw new NotSupportedException();

        public void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits) =>
            throw new NotSupportedException();

        public void Words(Philox stream, long first, Span<uint> words) => throw new NotSupportedException();

        public void Normals(Philox stream, long first, in Matrix output) => throw new NotSupportedException();

        public void Copy(in Matrix source, in Matrix output) => throw new NotSupportedException();

        public void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta) =>
            throw new NotSupportedException();

        public void Score(GatedLinear layer, in Matrix input, int expert, Routing routing) =>
            throw new NotSupportedException();

        public void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count) =>
            throw new NotSupportedException();

        public void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output) =>
            throw new NotSupportedException();

        public void Dispose() => cpu.Dispose();
    }
}
