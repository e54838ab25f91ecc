namespace FusionKernels.Kernels.Tests;

/// <summary>
/// A base and models in guarded memory, filled with what a type can hold: mostly small deltas from the base, so that
/// magnitudes repeat, and now and then a bit pattern at random, so that NaN, infinities, denormals and zeros of either
/// sign occur.
/// </summary>
internal sealed unsafe class TestTensors : IDisposable
{
    private readonly List<GuardedMemory> _memory = [];
    private readonly Random _random;
    private readonly double _anyBits;

    /// <param name="seed">Decides all contents.</param>
    /// <param name="anyBits">Share of elements whose bits are drawn at random.</param>
    public TestTensors(int seed, double anyBits = 0.02)
    {
        _random = new Random(seed);
        _anyBits = anyBits;
    }

    /// <summary>
    /// Elements that end at a guard page; of odd alignment where the type's size allows <paramref name="slack"/>.
    /// </summary>
    public Operand New(ElementType type, int length, int slack = 0)
    {
        int size = type.Size();
        var memory = new GuardedMemory((length * size) + slack);
        _memory.Add(memory);
        _random.NextBytes(memory.Span);
        var operand = new Operand(type, memory.Address);
        for (int i = 0; i < length; i++)
        {
            if (_random.NextDouble() < _anyBits)
                continue;
            double value = _random.Next(4) == 0 ? 0 : (_random.Next(-64, 65) / 64.0) + (_random.Next(-4, 5) / 1024.0);
            Reference.Element.Write(operand, i, (float)value);
        }

        return operand;
    }

    /// <summary>The given values as F32.</summary>
    public Operand Copy(ReadOnlySpan<float> values)
    {
        Operand operand = New(ElementType.F32, values.Length);
        values.CopyTo(new Span<float>((void*)operand.Address, values.Length));
        return operand;
    }

    /// <summary>A mask of the given bits.</summary>
    public Mask Bits(ReadOnlySpan<byte> bits)
    {
        var memory = new GuardedMemory(bits.Length);
        _memory.Add(memory);
        bits.CopyTo(memory.Span);
        return Mask.FromBits(memory.Address);
    }

    /// <summary>Random bits of a mask over <paramref name="elements"/> elements of a tensor.</summary>
    public Mask Bits(long elements)
    {
        var memory = new GuardedMemory((int)((elements + 7) / 8));
        _memory.Add(memory);
        _random.NextBytes(memory.Span);
        return Mask.FromBits(memory.Address);
    }

    /// <summary>A copy of the stored bytes of everything, to show that inputs are not written.</summary>
    public byte[][] Snapshot() => [.. _memory.Select(memory => memory.Span.ToArray())];

    public void Dispose() => _memory.ForEach(memory => memory.Dispose());
}
