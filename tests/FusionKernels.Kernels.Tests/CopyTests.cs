namespace FusionKernels.Kernels.Tests;

/// <summary>Copies between layouts, types and memories.</summary>
[TestFixtureSource(typeof(Backends), nameof(Backends.WithReference))]
public sealed unsafe class CopyTests(string backend)
{
    [Test]
    public void Every_pair_of_types_and_layouts_rounds_as_the_codecs_do()
    {
        using IKernelStream stream = Backends.Open(backend);
        int number = 0;
        foreach (ElementType from in Backends.Types)
        {
            foreach (ElementType to in Backends.Types)
            {
                foreach ((bool fromColumns, bool toColumns) in new[] { (false, false), (false, true), (true, true) })
                {
                    if (!Backends.Takes(backend, number++, every: 5))
                        continue;
                    using var matrices = new TestMatrices(number, anyBits: 0.5);
                    Matrix source = matrices.New(from, 7, 37, fromColumns, gap: 2);
                    Matrix output = matrices.New(to, 7, 37, toColumns, gap: 1);
                    stream.Copy(source, output);
                    for (int i = 0; i < source.Rows; i++)
                    {
                        for (int j = 0; j < source.Columns; j++)
                            AssertCopied(source.Slice(i, j, 1, 1).Data, output.Slice(i, j, 1, 1).Data);
                    }
                }
            }
        }
    }

    [Test]
    public void Nothing_but_the_output_is_written()
    {
        using IKernelStream stream = Backends.Open(backend);
        using TestMatrices inputs = new(1), outputs = new(2);
        Matrix source = inputs.New(ElementType.BF16, 5, 9, gap: 1);
        Matrix output = outputs.New(ElementType.F32, 5, 9, gap: 3);
        byte[][] before = inputs.Snapshot();
        stream.Copy(source, output);
        Assert.That(inputs.Snapshot(), Is.EqualTo(before));
        for (int row = 0; row < 4; row++)
            Assert.That(Reference.Element.Read(output.Data, (row * 12) + 9), Is.NaN);
        stream.Copy(source.Slice(0, 0, 0, 9), output.Slice(0, 0, 0, 9));
    }

    [Test]
    public void Arguments_are_checked()
    {
        using IKernelStream stream = Backends.Open(backend);
        using var matrices = new TestMatrices(3);
        Matrix a = matrices.New(ElementType.F32, 3, 4), b = matrices.New(ElementType.F32, 4, 3);
        Matrix delta = matrices.New(ElementType.F32, 3, 4, delta: true);
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Copy(a, b));
        Assert.Throws<ArgumentException>(() => stream.Copy(delta, a));
        Assert.Throws<ArgumentException>(() => stream.Copy(a, delta));
    }

    private static void AssertCopied(Operand from, Operand to)
    {
        using var memory = new GuardedMemory(to.Type.Size());
        var expected = new Operand(to.Type, memory.Address);
        if (from.Type == to.Type)
            new ReadOnlySpan<byte>((void*)from.Address, memory.Bytes).CopyTo(memory.Span);
        else
            Reference.Element.Write(expected, 0, Reference.Element.Read(from, 0));
        Assert.That(Reference.Element.SameBits(to, expected, 0), $"{from.Type} to {to.Type}");
    }
}
