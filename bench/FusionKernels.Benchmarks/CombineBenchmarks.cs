using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Benchmarks;

/// <summary>
/// Combine on one core: three models and a base. The baseline copies as many bytes as a rule with a base reads and writes;
/// for F32 the same weighted sum by TensorPrimitives stands beside it.
/// </summary>
public unsafe class CombineBenchmarks
{
    private const int Models = 3;
    private readonly Source[] _sources = new Source[Models], _dropping = new Source[Models];
    private readonly float[] _weights = [0.5f, 0.3f, 0.2f];
    private IKernelStream _stream = null!;
    private byte* _memory;
    private Operand _base, _output;

    /// <summary>Storage type of all inputs and the output.</summary>
    [Params(ElementType.BF16, ElementType.F32)]
    public ElementType Type { get; set; }

    /// <summary>Elements: all arrays together fit the first cache, the second, or neither.</summary>
    [Params(2048, 65_536, 16_777_216)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Allocate()
    {
        nuint bytes = (nuint)Length * (nuint)Type.Size();
        _memory = (byte*)NativeMemory.AlignedAlloc((Models + 2) * bytes, 64);
        var random = new Random(1);
        for (nuint i = 0; i < (Models + 2) * bytes / (nuint)Type.Size(); i++)
        {
            float value = (random.NextSingle() - 0.5f) / 16;
            if (Type == ElementType.F32)
                ((float*)_memory)[i] = value;
            else
                ((ushort*)_memory)[i] = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
        }

        Operand Array(int index) => new(Type, _memory + ((nuint)index * bytes));
        for (int model = 0; model < Models; model++)
        {
            _sources[model] = new Source(Array(model)) { Weight = _weights[model] };
            Mask mask = Mask.Dropping(new Philox(1, (ulong)model), 0.5);
            _dropping[model] = _sources[model] with { Mask = mask, Scale = 2 };
        }

        (_base, _output) = (Array(Models), Array(Models + 1));
        _stream = new CpuBackend().OpenStream();
    }

    [GlobalCleanup]
    public void Free()
    {
        _stream.Dispose();
        NativeMemory.AlignedFree(_memory);
    }

    [Benchmark(Baseline = true)]
    public void Copy()
    {
        long half = (long)Length * Type.Size() * (Models + 2) / 2;
        Buffer.MemoryCopy(_memory, _memory + half, half, half);
    }

    [Benchmark]
    public void WeightedSum() => _stream.Combine(Chunk(default, _sources), new WeightedSum(1), _output);

    [Benchmark]
    public void TaskArithmetic() => _stream.Combine(Chunk(_base, _sources), new TaskArithmetic(0.5f, 1), _output);

    [Benchmark]
    public void DisjointMerge() => _stream.Combine(Chunk(_base, _sources), new DisjointMerge(0.5f, Normalize: true), _output);

    [Benchmark]
    public void DareTaskArithmetic() => _stream.Combine(Chunk(_base, _dropping), new TaskArithmetic(0.5f, 1), _output);

    /// <summary>F32 only: three passes over memory, as one writes it without a kernel.</summary>
    [Benchmark]
    public void WeightedSumByTensorPrimitives()
    {
        if (Type != ElementType.F32)
            throw new NotSupportedException("TensorPrimitives has no bf16.");
        var output = new Span<float>((void*)_output.Address, Length);
        TensorPrimitives.Multiply(Floats(0), _weights[0], output);
        for (int model = 1; model < Models; model++)
            TensorPrimitives.MultiplyAdd(Floats(model), _weights[model], output, output);
    }

    private ReadOnlySpan<float> Floats(int model) => new((void*)_sources[model].Data.Address, Length);

    private Chunk Chunk(Operand basis, Source[] sources) => new() { First = 0, Length = Length, Base = basis, Sources = sources };
}
