using BenchmarkDotNet.Attributes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks;

/// <summary>One pass of the magnitude selection over a bf16 delta, on one stream; times are per element.</summary>
public class SelectBenchmarks
{
    private const int Elements = 1 << 20;
    private readonly IKernelStream _stream = new CpuBackend().OpenStream();
    private FineTunes _tensors = null!;
    private MagnitudeHistogram?[] _full = null!, _bracket = null!;

    [GlobalSetup]
    public void SetUp()
    {
        _tensors = new FineTunes(Elements, 1);
        uint[] sample = new uint[Elements / 127 + 1];
        int count = _stream.SampleMagnitudes(_tensors.Chunk, 127, sample);
        _full = [new MagnitudeSelector(Elements / 5).NextPass()];
        _bracket = [MagnitudeSelector.FromSample(Elements / 5, Elements, sample.AsSpan(0, count)).NextPass()];
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Elements)]
    public void FullRange() => _stream.Histogram(_tensors.Chunk, _full);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void SampledBracket() => _stream.Histogram(_tensors.Chunk, _bracket);

    [Benchmark(OperationsPerInvoke = Elements)]
    public long FindTie()
    {
        long rank = long.MaxValue;
        return _stream.FindTie(_tensors.Chunk, 0x3980_0000, ref rank);
    }
}
