using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Tests;

/// <summary>A matrix plus a low-rank product: against the formula, and the same bits however it is computed.</summary>
[TestFixture]
public sealed unsafe class LowRankUpdateTests
{
    private const float Scale = 1.7f;

    [TestCase(1, 1, 1)]
    [TestCase(3, 64, 1)]
    [TestCase(5, 65, 2)]
    [TestCase(7, 63, 5)]
    [TestCase(4, 200, 16)]
    [TestCase(130, 3, 3)]
    public void Every_element_is_the_formula_s_rounded_once(int rows, int columns, int rank)
    {
        using var tensors = new TestTensors(rows, anyBits: 0);
        Operand weights = tensors.New(ElementType.F32, rows * columns);
        Operand left = tensors.New(ElementType.BF16, rows * rank), right = tensors.New(ElementType.F16, rank * columns);
        Operand output = tensors.New(ElementType.F32, rows * columns);
        float[] factors = [.. Enumerable.Range(0, rows).Select(i => 0.5f + i)];
        new LowRankUpdate(rows, columns, rank, Scale, left, right, transposed: false)
            .WithRowFactors(factors).Apply(weights, 0, rows * columns, output);

        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                double sum = 0, size = 0;
                for (int k = 0; k < rank; k++)
                {
                    double product = Element.Read(left, (i * rank) + k);
                    product *= Element.Read(right, (k * columns) + j);
                    (sum, size) = (sum + product, size + Math.Abs(product));
                }

                double w = Element.Read(weights, (i * columns) + j);
                double expected = factors[i] * (w + (Scale * sum));
                double bound = factors[i] * (Math.Abs(w) + (Scale * size));
                Assert.That(
                    Element.Read(output, (i * columns) + j),
                    Is.EqualTo(expected).Within(bound * (rank + 3) * Math.Pow(2, -24)),
                    $"[{i}, {j}]");
            }
        }
    }

    [Test]
    public void Transposed_factors_give_the_same_bits()
    {
        const int Rows = 9, Columns = 70, Rank = 4;
        using var tensors = new TestTensors(5);
        Operand weights = tensors.New(ElementType.BF16, Rows * Columns);
        Operand left = tensors.New(ElementType.F32, Rows * Rank), right = tensors.New(ElementType.F32, Rank * Columns);
        var straight = new LowRankUpdate(Rows, Columns, Rank, Scale, left, right, transposed: false);
        Operand turnedLeft = Transposed(left, Rows, Rank), turnedRight = Transposed(right, Rank, Columns);
        var turned = new LowRankUpdate(Rows, Columns, Rank, Scale, turnedLeft, turnedRight, transposed: true);
        Assert.That(Run(turned, weights, Rows * Columns), Is.EqualTo(Run(straight, weights, Rows * Columns)));

        Operand Transposed(Operand matrix, int rows, int columns)
        {
            var values = new float[rows * columns];
            for (int i = 0; i < values.Length; i++)
                values[(i % columns * rows) + (i / columns)] = Element.Read(matrix, i);
            return tensors.Copy(values);
        }
    }

    [Test]
    public void Every_width_and_every_cut_give_the_same_bits([Values] ElementType type)
    {
        const int Rows = 5, Columns = 150, Rank = 3, Length = Rows * Columns;
        using var tensors = new TestTensors(11);
        Operand weights = tensors.New(type, Length, slack: 1);
        Operand left = tensors.New(ElementType.F32, Rows * Rank), right = tensors.New(ElementType.F32, Rank * Columns);
        byte[][] before = tensors.Snapshot();
        byte[]? expected = null;
        foreach (int width in Backends.Widths)
        {
            var update = new LowRankUpdate(Rows, Columns, Rank, Scale, left, right, transposed: false, width);
            byte[] whole = Run(update, weights, Length);
            Assert.That(whole, Is.EqualTo(expected ??= whole), $"{width} bits");
            for (int cut = 0; cut <= Length; cut += width == 512 ? 1 : 37)
                Assert.That(Run(update, weights, cut, Length), Is.EqualTo(expected), $"{width} bits, cut at {cut}");
        }

        Assert.That(tensors.Snapshot(), Is.EqualTo(before));
    }

    [Test]
    public void The_output_may_be_the_weights_themselves()
    {
        const int Rows = 4, Columns = 100, Rank = 2, Length = Rows * Columns;
        using var tensors = new TestTensors(3);
        Operand weights = tensors.New(ElementType.BF16, Length);
        Operand left = tensors.New(ElementType.BF16, Rows * Rank);
        Operand right = tensors.New(ElementType.BF16, Rank * Columns);
        var update = new LowRankUpdate(Rows, Columns, Rank, Scale, left, right, transposed: false);
        byte[] expected = Run(update, weights, Length);
        update.Apply(weights, 0, Length, weights);
        Assert.That(new Span<byte>((void*)weights.Address, expected.Length).ToArray(), Is.EqualTo(expected));
    }

    [Test]
    public void A_run_outside_the_matrix_is_refused()
    {
        using var tensors = new TestTensors(1);
        Operand w = tensors.New(ElementType.F32, 6);
        Operand l = tensors.New(ElementType.F32, 2), r = tensors.New(ElementType.F32, 3);
        var update = new LowRankUpdate(2, 3, 1, Scale, l, r, transposed: false);
        Assert.Throws<ArgumentOutOfRangeException>(() => update.Apply(w, 1, 6, w));
        Assert.Throws<ArgumentOutOfRangeException>(() => update.Apply(w, -1, 2, w));
        Assert.Throws<ArgumentOutOfRangeException>(() => update.WithRowFactors([1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankUpdate(2, 3, 0, Scale, l, r, transposed: false));
    }

    // The bytes of the whole output, computed in runs that end at the given places.
    private static byte[] Run(LowRankUpdate update, Operand weights, params int[] ends)
    {
        int size = weights.Type.Size();
        using var memory = new GuardedMemory(ends[^1] * size);
        var output = new Operand(weights.Type, memory.Address);
        int first = 0;
        foreach (int end in ends)
        {
            update.Apply(weights.Skip(first), first, end - first, output.Skip(first));
            first = end;
        }

        return memory.Span.ToArray();
    }
}
