using BenchmarkDotNet.Attributes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks;

/// <summary>Philox on one stream; times are per element.</summary>
public class RandomBenchmarks
{
    private const int Elements = 1 << 20;
    private static readonly Philox Stream = new(42, 7);
    private readonly IKernelStream _stream = new CpuBackend().OpenStream();
    private readonly byte[] _bits = new byte[Elements / 8];
    private readonly uint[] _words = new uint[Elements];
    private readonly float[] _normals = new float[Elements];

    [Benchmark(OperationsPerInvoke = Elements)]
    public void DroppingMask()
    {
        Source source = new(default) { Mask = Mask.Dropping(Stream, 0.9) };
        _stream.WriteMask(new Chunk { First = 0, Length = Elements, Sources = [source] }, _bits);
    }

    [Benchmark(OperationsPerInvoke = Elements)]
    public void Words() => _stream.Words(Stream, 0, _words);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void Normals() => _stream.Normals(Stream, 0, _normals);
}
