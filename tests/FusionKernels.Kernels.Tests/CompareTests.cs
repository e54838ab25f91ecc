namespace FusionKernels.Kernels.Tests;

/// <summary>
/// The comparison of two tensors: every backend against the reference, and the reference against plain sums.
/// </summary>
public unsafe class CompareTests
{
    [Test]
    public void Every_length_and_type_gives_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        foreach (int length in Backends.Some(backend, Enumerable.Range(0, 258).Concat([512, 4096, 4097, 9999])))
        {
            using var tensors = new TestTensors(length + ((int)type * 1000), anyBits: 0.05);
            Operand left = tensors.New(type, length, length % 2), right = tensors.New(type, length);
            var actual = new Difference { Elements = 5, MaxAbsolute = 0.25, Dot = 1 };
            Difference expected = actual;
            cpu.Compare(left, right, length, ref actual);
            reference.Compare(left, right, length, ref expected);
            Assert.That(actual, Is.EqualTo(expected), $"length {length}");
            Assert.That(actual.Elements, Is.EqualTo(5 + length));
        }
    }

    [Test]
    public void Chunks_at_block_borders_give_the_bits_of_the_whole(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        const int Length = 20_000;
        using IKernelStream cpu = Backends.Open(backend);
        using var tensors = new TestTensors(1);
        Operand left = tensors.New(ElementType.BF16, Length), right = tensors.New(ElementType.BF16, Length);
        Difference whole = default, parts = default;
        cpu.Compare(left, right, Length, ref whole);
        for (int start = 0; start < Length; start += 2 * Reduction.Block)
            cpu.Compare(left.Skip(start), right.Skip(start), Math.Min(2 * Reduction.Block, Length - start), ref parts);
        Assert.That(parts, Is.EqualTo(whole));
    }

    [Test]
    public void The_parts_mean_what_they_say()
    {
        float[] left = [1, -2, 0f, float.NaN, float.NaN, float.PositiveInfinity, 3, 1e-45f];
        float[] right = [1, -1.5f, -0f, float.NaN, 1, 4, 7, 0];
        using IKernelStream reference = Backends.Reference.OpenStream();
        Difference difference = default;
        fixed (float* x = left, y = right)
            reference.Compare(new Operand(ElementType.F32, x), new Operand(ElementType.F32, y), 8, ref difference);
        Assert.That(difference.Elements, Is.EqualTo(8));
        Assert.That(difference.Changed, Is.EqualTo(6), "all but the first and the equal NaN");
        Assert.That(difference.NonFinite, Is.EqualTo(3));
        Assert.That(difference.MaxAbsolute, Is.EqualTo(4));
        Assert.That(difference.LeftSquared, Is.EqualTo(14).Within(1e-15));
        Assert.That(difference.RightSquared, Is.EqualTo(1 + 2.25 + 49));
        Assert.That(difference.Dot, Is.EqualTo(1 + 3 + 21));
        Assert.That(difference.DeltaSquared, Is.EqualTo(0.25 + 16).Within(1e-15));
        Difference sum = difference;
        sum.Add(difference);
        Assert.That((sum.Changed, sum.MaxAbsolute, sum.Dot), Is.EqualTo((12L, 4.0, 50.0)));
    }

    [Test]
    public void Different_types_and_negative_lengths_are_refused()
    {
        Difference difference = default;
        foreach (IKernelStream stream in Backends.WithReference.Select(Backends.Open))
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Compare(
                new Operand(ElementType.F16, (nint)0), new Operand(ElementType.BF16, (nint)0), 0, ref difference));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Compare(default, default, -1, ref difference));
        }
    }
}
