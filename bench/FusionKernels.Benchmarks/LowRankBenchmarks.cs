using BenchmarkDotNet.Attributes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks;

/// <summary>A LoRA applied to a bf16 matrix in chunks, as a merge reads it; times are per element.</summary>
public class LowRankBenchmarks
{
    private const int Rows = 1024, Columns = 4096, ChunkElements = 1 << 16;
    private FineTunes _tensors = null!;
    private LowRankUpdate _update = null!;

    /// <summary>The adapter's rank.</summary>
    [Params(16, 64)]
    public int Rank { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _tensors = new FineTunes(Rows * Columns, 2);
        Operand left = _tensors.Models[0].Data, right = _tensors.Models[1].Data;
        _update = new LowRankUpdate(Rows, Columns, Rank, 2, left, right, transposed: false);
    }

    [Benchmark(OperationsPerInvoke = Rows * Columns)]
    public void Apply()
    {
        for (long first = 0; first < (long)Rows * Columns; first += ChunkElements)
            _update.Apply(_tensors.Base.Skip(first), first, ChunkElements, _tensors.Models[0].Data);
    }
}
