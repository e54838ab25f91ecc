using System.Runtime.CompilerServices;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Tests.Golden;

/// <summary>One model's values of a <see cref="HostKernels"/> call, with the mask as bits.</summary>
internal readonly record struct HostSource(float[] Values)
{
    /// <summary>Which elements take part; <c>null</c> is all.</summary>
    public bool[]? Kept { get; init; }

    /// <summary>Factor on the masked values.</summary>
    public float Scale { get; init; } = 1;
}

/// <summary>The CPU's kernels on arrays.</summary>
internal sealed unsafe class HostKernels : IDisposable
{
    private readonly CpuBackend _backend = new();
    private readonly IKernelStream _stream;
    private readonly List<Array> _pinned = [];

    public HostKernels() => _stream = _backend.OpenStream();

    /// <summary>rule(origin, sources); without an origin the sources are values, not deltas.</summary>
    public float[] Combine<TRule>(TRule rule, float[]? origin, params HostSource[] sources)
        where TRule : struct, ICombineRule
    {
        float[] output = GC.AllocateArray<float>(sources[0].Values.Length, pinned: true);
        _stream.Combine(Chunk(origin, sources), rule, new Operand(ElementType.F32, Unsafe.AsPointer(ref output[0])));
        _pinned.Clear();
        return output;
    }

    /// <summary>sum |v| of each source.</summary>
    public double[] AbsoluteSums(params HostSource[] sources)
    {
        int rows = (sources[0].Values.Length + Reduction.Block - 1) / Reduction.Block;
        double[] partials = new double[rows * sources.Length];
        _stream.AbsoluteSum(Chunk(null, sources), partials);
        _pinned.Clear();
        return Reduction.Fold(partials, sources.Length);
    }

    /// <summary>The elements that a mask keeps.</summary>
    public bool[] Kept(Mask mask, int length)
    {
        byte[] bits = new byte[(length + 7) / 8];
        _stream.WriteMask(new Chunk { First = 0, Length = length, Sources = [new Source { Mask = mask }] }, bits);
        return [.. Enumerable.Range(0, length).Select(i => (bits[i / 8] >> (i % 8) & 1) != 0)];
    }

    /// <summary>DELLA's mask over a tensor of deltas.</summary>
    public void WriteRankedMask(RankedDraw draw, float[] deltas, byte[] bits)
    {
        _stream.WriteRankedMask(Chunk(null, [new HostSource(deltas)]), draw, bits);
        _pinned.Clear();
    }

    /// <summary>Words of a random stream.</summary>
    public uint[] Words(Philox random, long first, int count)
    {
        uint[] words = new uint[count];
        _stream.Words(random, first, words);
        return words;
    }

    /// <summary>Standard normals of a random stream.</summary>
    public float[] Normals(Philox random, int count)
    {
        float[] normals = new float[count];
        _stream.Normals(random, 0, normals);
        return normals;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stream.Dispose();
        _backend.Dispose();
    }

    private Chunk Chunk(float[]? origin, HostSource[] sources) => new()
    {
        First = 0,
        Length = sources[0].Values.Length,
        Base = origin is null ? default : Pinned(origin),
        Sources = sources.Select(s => new Source(Pinned(s.Values)) { Mask = Bits(s.Kept), Scale = s.Scale }).ToArray(),
    };

    // SAFETY: the array never moves and is kept until the call is over.
    private Operand Pinned(float[] values)
    {
        float[] pinned = GC.AllocateArray<float>(values.Length, pinned: true);
        values.CopyTo(pinned, 0);
        _pinned.Add(pinned);
        return new Operand(ElementType.F32, Unsafe.AsPointer(ref pinned[0]));
    }

    private Mask Bits(bool[]? kept)
    {
        if (kept is null)
            return default;
        byte[] bits = GC.AllocateArray<byte>((kept.Length + 7) / 8, pinned: true);
        _pinned.Add(bits);
        for (int i = 0; i < kept.Length; i++)
            bits[i / 8] |= (byte)((kept[i] ? 1 : 0) << (i % 8));
        return Mask.FromBits((byte*)Unsafe.AsPointer(ref bits[0]));
    }
}
