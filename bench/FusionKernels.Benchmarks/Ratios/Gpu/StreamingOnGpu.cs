using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Ilgpu;
using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;
using ILGPU.Runtime;
using static System.Runtime.InteropServices.MemoryMarshal;

namespace FusionKernels.Benchmarks.Ratios.Gpu;

/// <summary>
/// Kernels of the ILGPU backend on data that is on the device, against copying as many bytes there: what a kernel that
/// waits for memory alone would take. Times are the device's own (events), medians of several launches.
/// </summary>
internal static unsafe class StreamingOnGpu
{
    private const int Models = 3, Rounds = 15, Checked = 1 << 16;
    private const string Linear = "gpu/linear", Ties = "gpu/ties", Dare = "gpu/dare", Select = "gpu/select";
    private const double CombineTarget = 0.85, SelectTarget = 0.6;

    /// <summary>Measures the cases on a device.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        using var backend = IlgpuBackend.Open(options.Device);
        Console.Error.WriteLine($"gpu: {backend.Name}");
        using var bench = new Bench(backend, backend.MeasureCopy());
        var random = new Philox(1, 2);
        Mask[] none = new Mask[Models];
        Mask[] thresholds = [.. none.Select(_ => Mask.Magnitude(0x3C00_0000, long.MaxValue))];
        Mask[] drops = [.. none.Select((_, i) => Mask.Dropping(random with { Stream = (ulong)i }, 0.5))];
        (string, Func<Ratio>)[] cases =
        [
            (Linear, () => bench.Combine<WeightedSum, Unmasked>(Linear, new WeightedSum(1), none, hasBase: false)),
            (Ties, () => bench.Combine<DisjointMerge, Thresholded>(
                Ties, new DisjointMerge(1, true), thresholds, hasBase: true)),
            (Dare, () => bench.Combine<TaskArithmetic, Masked>(Dare, new TaskArithmetic(1, 1), drops, hasBase: true)),
            (Select, bench.Histogram),
        ];
        foreach (var ratio in GpuCases.Run(options, cases))
            yield return ratio;
    }

    /// <summary>A base, models and an output of random bf16 numbers on a device.</summary>
    private sealed class Bench : IDisposable
    {
        private readonly IlgpuBackend _backend;
        private readonly double _copyRate;
        private readonly AcceleratorStream _queue;
        private readonly MemoryBuffer1D<byte, Stride1D.Dense> _memory;
        private readonly int _length;
        private readonly ushort[] _head;
        private readonly long _operandBytes;

        public Bench(IlgpuBackend backend, double copyRate)
        {
            (_backend, _copyRate) = (backend, copyRate);
            _length = backend.Accelerator.AcceleratorType switch
            {
                AcceleratorType.Cuda => 1 << 27,
                AcceleratorType.OpenCL => 1 << 24,
                _ => Checked,
            };
            _operandBytes = (long)_length * sizeof(ushort);
            _queue = backend.Accelerator.CreateStream();
            _memory = backend.Accelerator.Allocate1D<byte>((Models + 2) * _operandBytes);

            // Numbers of a network's size, drawn anew every so many elements: no two operands are alike.
            _head = new ushort[(Models + 1) * Checked];
            var random = new Random(1);
            for (int operand = 0; operand <= Models; operand++)
            {
                var part = _head.AsSpan(operand * Checked, Checked);
                foreach (ref ushort element in part)
                {
                    float drawn = (float)((random.NextDouble() - 0.5) * 0.1);
                    element = (ushort)(BitConverter.SingleToUInt32Bits(drawn) >> 16);
                }

                for (long start = 0; start < _operandBytes; start += Checked * sizeof(ushort))
                {
                    _memory.View.BaseView.SubView((operand * _operandBytes) + start, Checked * sizeof(ushort))
                        .CopyFromCPU(_queue, AsBytes<ushort>(part));
                }
            }

            _queue.Synchronize();
        }

        public Ratio Combine<TRule, TMasking>(string name, TRule rule, Mask[] masks, bool hasBase)
            where TRule : struct, ICombineRule
            where TMasking : struct, IMasking
        {
            using var sources = _backend.Accelerator.Allocate1D<DeviceSource>(Models);
            sources.CopyFromCPU(_queue, Sources(masks));
            var arguments = new CombineArguments<TRule>
            {
                Chunk = Chunk(sources, hasBase),
                Output = (Models + 1) * _operandBytes,
                Rule = rule,
            };
            double seconds = Time(
                () => Launch(CombineKernels.Combine<TRule, BF16Codec, BF16Codec, TMasking>, arguments));
            Check(name, rule, masks, hasBase, arguments.Output);
            return Ratio(name, seconds, (hasBase ? Models + 2 : Models + 1) * _operandBytes, CombineTarget);
        }

        // A bracket that holds a tenth of the magnitudes, as a selection's first one does.
        public Ratio Histogram()
        {
            var histogram = new MagnitudeHistogram(0x3D00_0000, 0x3D20_0000);
            int bins = histogram.Counts.Length + 1;
            using var sources = _backend.Accelerator.Allocate1D<DeviceSource>(1);
            using var brackets = _backend.Accelerator.Allocate1D<Bracket>(1);
            using var counts = _backend.Accelerator.Allocate1D<uint>(2L * bins);
            sources.CopyFromCPU(_queue, Sources(new Mask[1]));
            var bracket = new Bracket { Low = histogram.Low, High = histogram.High, Shift = histogram.Shift };
            brackets.CopyFromCPU(_queue, [bracket]);
            var arguments = new HistogramArguments
            {
                Chunk = Chunk(sources, hasBase: true),
                Brackets = brackets.View.BaseView,
                Counts = counts.View.BaseView.SubView(0, bins),
                Seen = counts.View.BaseView.SubView(bins, bins),
            };
            double seconds = Time(
                () => Launch(SelectKernels.Histogram<BF16Codec>, arguments, groupsPerMultiprocessor: 4));
            return Ratio(Select, seconds, 2 * _operandBytes, SelectTarget);
        }

        public void Dispose()
        {
            _memory.Dispose();
            _queue.Dispose();
        }

        private Ratio Ratio(string name, double seconds, long bytes, double target)
        {
            Console.Error.WriteLine($"{name}: {bytes / seconds / 1e9:0} GB/s, copy {_copyRate / 1e9:0} GB/s");
            return new Ratio(name, seconds, "device copy of as many bytes", bytes / _copyRate, target);
        }

        private DeviceSource[] Sources(Mask[] masks) =>
        [
            .. masks.Select((mask, i) => new DeviceSource
            {
                Data = (i + 1) * _operandBytes,
                Mask = mask,
                Scale = 1,
                Weight = 0.25f,
            }),
        ];

        private DeviceChunk Chunk(MemoryBuffer1D<DeviceSource, Stride1D.Dense> sources, bool hasBase) => new()
        {
            Memory = _memory.View.BaseView,
            Sources = sources.View.BaseView,
            Base = hasBase ? 0 : -1,
            Length = _length,
        };

        private void Launch<TArguments>(
            Action<TArguments> kernel, in TArguments arguments, int groupsPerMultiprocessor = 16)
            where TArguments : struct
        {
            bool onCpu = _backend.Accelerator.AcceleratorType == AcceleratorType.CPU;
            int groups = _backend.Accelerator.NumMultiprocessors * groupsPerMultiprocessor;
            _backend.Launch(_queue, kernel, arguments, (groups, onCpu ? 8 : 256));
        }

        private double Time(Action launch)
        {
            var seconds = new List<double>();
            for (int round = 0; round <= Rounds; round++)
            {
                using var begin = _queue.AddProfilingMarker();
                launch();
                using var end = _queue.AddProfilingMarker();
                end.Synchronize();
                if (round > 0)
                    seconds.Add((end - begin).TotalSeconds);
            }

            return Pairs.Median([.. seconds]);
        }

        /// <summary>The first elements must have the bits of the CPU's.</summary>
        private void Check<TRule>(string name, TRule rule, Mask[] masks, bool hasBase, long output)
            where TRule : struct, ICombineRule
        {
            byte[] actual = new byte[Checked * sizeof(ushort)];
            _memory.View.BaseView.SubView(output, actual.Length).CopyToCPU(_queue, actual);
            _queue.Synchronize();
            byte[] expected = new byte[actual.Length];
            using var cpu = new CpuBackend();
            using var stream = cpu.OpenStream();
            fixed (ushort* head = _head)
            fixed (byte* merged = expected)
            {
                nint start = (nint)head;
                Operand Part(int operand) => new Operand(ElementType.BF16, start).Skip(operand * Checked);
                Source[] sources = [.. masks.Select((m, i) => new Source(Part(i + 1)) { Mask = m, Weight = 0.25f })];
                var chunk = new Chunk
                {
                    First = 0,
                    Length = Checked,
                    Base = hasBase ? Part(0) : default,
                    Sources = sources,
                };
                stream.Combine(chunk, rule, new Operand(ElementType.BF16, merged));
            }

            if (!actual.AsSpan().SequenceEqual(expected))
                throw new WrongResultException($"{name}: other bits than the CPU's");
        }
    }
}
