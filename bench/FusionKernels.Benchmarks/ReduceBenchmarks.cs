using BenchmarkDotNet.Attributes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks;

/// <summary>
/// Gram, absolute sums and comparison of bf16 deltas, on one stream; times are per element of the tensor.
/// </summary>
public class ReduceBenchmarks
{
    private const int Elements = 1 << 20;
    private readonly IKernelStream _stream = new CpuBackend().OpenStream();
    private FineTunes _tensors = null!;
    private double[] _partials = null!;

    [Params(1, 3, 8)]
    public int Models { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _tensors = new FineTunes(Elements, Models);
        for (int model = 0; model < Models; model++)
        {
            Mask mask = Mask.Dropping(new Philox(1, (ulong)model), 0.9);
            _tensors.Models[model] = _tensors.Models[model] with { Mask = mask, Scale = 10 };
        }

        _partials = new double[Reduction.Rows(Elements) * Models * (Models + 1) / 2];
    }

    [Benchmark(OperationsPerInvoke = Elements)]
    public void Gram()
    {
        Source[] unmasked = [.. _tensors.Models.Select(model => new Source(model.Data))];
        _stream.Gram(new Chunk { First = 0, Length = Elements, Base = _tensors.Base, Sources = unmasked }, _partials);
    }

    [Benchmark(OperationsPerInvoke = Elements)]
    public void AbsoluteSumMasked() =>
        _stream.AbsoluteSum(_tensors.Chunk, _partials.AsSpan(0, Reduction.Rows(Elements) * Models));

    [Benchmark(OperationsPerInvoke = Elements)]
    public Difference Compare()
    {
        var difference = default(Difference);
        _stream.Compare(_tensors.Base, _tensors.Models[0].Data, Elements, ref difference);
        return difference;
    }
}
