namespace FusionKernels.Kernels.Tests;

/// <summary>Histogram, ties and samples: every backend against the reference.</summary>
public unsafe class SelectTests
{
    private static readonly (uint Low, uint High)[] Brackets =
    [
        (0, 0x7FFF_FFFF), (0, 0), (0, 0x3E00_0000), (1, 0x3F7F_FFFF), (0x3E00_0000, 0x3F00_0000),
        (0x3F00_0000, 0x3F00_0000), (0x7F80_0000, 0x7FFF_FFFF), (0x7FFF_FFFF, 0x7FFF_FFFF),
    ];

    [Test]
    public void Histograms_of_every_length_and_type_are_those_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        foreach (int length in Backends.Some(backend, Enumerable.Range(0, 258).Concat([511, 512, 513, 3000])))
        {
            using var tensors = new TestTensors(length + ((int)type * 1000), anyBits: 0.1);
            Source[] sources = [new(tensors.New(type, length, 1)), new(tensors.New(type, length))];
            Operand basis = length % 3 == 0 ? default : tensors.New(type, length, 1);
            var chunk = new Chunk { First = length, Length = length, Base = basis, Sources = sources };
            var (low, high) = Brackets[length % Brackets.Length];
            MagnitudeHistogram[] actual = [new(low, high), new(0, 0x3FFF)], expected = [new(low, high), new(0, 0x3FFF)];
            cpu.Histogram(chunk, actual);
            reference.Histogram(chunk, expected);
            AssertSame(actual[0], expected[0], length);
            AssertSame(actual[1], expected[1], length);
            Assert.That(actual[1].Counts.Sum() + actual[1].Above, Is.EqualTo(length));
        }
    }

    [Test]
    public void Histograms_of_every_bracket_add_up_over_chunks_and_skip_models_without_one(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        const int Length = 6000, Half = 2777;
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        using var tensors = new TestTensors(4, anyBits: 0.05);
        Operand basis = tensors.New(ElementType.BF16, Length), a = tensors.New(ElementType.BF16, Length);
        Operand b = tensors.New(ElementType.F16, Length);

        // Masks, scales and weights must not matter.
        Source[] whole = [new(a) { Scale = 2, Mask = Mask.Dropping(default, 1) }, new(b), new(b) { Weight = 0 }];
        foreach (var (low, high) in Brackets)
        {
            var expected = new MagnitudeHistogram(low, high);
            reference.Histogram(new Chunk { First = 0, Length = Length, Base = basis, Sources = [new(a)] }, [expected]);
            var first = new MagnitudeHistogram(low, high);
            cpu.Histogram(new Chunk { First = 0, Length = Half, Base = basis, Sources = whole }, [first, null, null]);
            var rest = new MagnitudeHistogram(low, high);
            Source[] tail = [whole[0] with { Data = a.Skip(Half) }, default, default];
            var second = new Chunk { First = Half, Length = Length - Half, Base = basis.Skip(Half), Sources = tail };
            cpu.Histogram(second, [rest, null, null]);
            first.Add(rest);
            AssertSame(first, expected, Length);
        }
    }

    [Test]
    public void Ties_are_found_by_rank_across_chunks([ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        const int Length = 1100;
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        using var tensors = new TestTensors(8);
        Source source = new(tensors.New(ElementType.BF16, Length));
        Operand basis = tensors.New(ElementType.BF16, Length);
        foreach (uint bits in new[] { 0u, 0x3F00_0000u, 0x7FC0_0000u, 0x1234_5678u })
        {
            var chunk = new Chunk { First = 70, Length = Length, Base = basis, Sources = new[] { source } };
            var ties = new List<long>();
            for (int i = 0; i < Length; i++)
            {
                if (Reference.Element.Magnitude(chunk, source, i) == bits)
                    ties.Add(70 + i);
            }

            foreach (int wanted in Backends.Some(backend, Enumerable.Range(0, ties.Count + 1)))
            {
                long expected = wanted < ties.Count ? ties[wanted] : -1, rank = wanted, other = wanted;
                Assert.That(cpu.FindTie(chunk, bits, ref rank), Is.EqualTo(expected), $"{bits:x} {wanted}");
                Assert.That(reference.FindTie(chunk, bits, ref other), Is.EqualTo(expected));
                Assert.That(rank, Is.EqualTo(expected < 0 ? wanted - ties.Count : 0));
                Assert.That(other, Is.EqualTo(rank));
            }
        }
    }

    [Test]
    public void Ties_at_the_end_of_every_length_are_found_and_nothing_beyond(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        using IKernelStream cpu = Backends.Open(backend);
        foreach (int length in Backends.Some(backend, Enumerable.Range(1, 129)))
        {
            using var tensors = new TestTensors(length, anyBits: 0);
            Operand data = tensors.New(ElementType.BF16, length);
            new Span<byte>((void*)data.Address, 2 * length).Clear();
            long last = length - 1, beyond = length;
            var chunk = new Chunk { First = 0, Length = length, Sources = [new(data)] };
            Assert.That(cpu.FindTie(chunk, 0, ref last), Is.EqualTo(length - 1));
            Assert.That(cpu.FindTie(chunk, 0, ref beyond), Is.EqualTo(-1));
            Assert.That(beyond, Is.Zero);
        }
    }

    [TestCase(1)]
    [TestCase(7)]
    [TestCase(1000)]
    public void Samples_are_the_elements_at_multiples_of_the_stride_whatever_the_chunks(int stride)
    {
        const int Length = 2500;
        using var tensors = new TestTensors(9);
        Source source = new(tensors.New(ElementType.F32, Length)) { Scale = 3, Mask = Mask.Dropping(default, 1) };
        Operand basis = tensors.New(ElementType.F16, Length);
        var chunk = new Chunk { First = 0, Length = Length, Base = basis, Sources = new[] { source } };
        var expected = new List<uint>();
        for (int i = 0; i < Length; i += stride)
            expected.Add(Reference.Element.Magnitude(chunk, source, i));
        foreach (IKernelStream stream in Backends.WithReference.Select(Backends.Open))
        {
            var actual = new List<uint>();
            for (int start = 0; start < Length; start += 333)
            {
                uint[] piece = new uint[333];
                Source[] rest = [source with { Data = source.Data.Skip(start) }];
                int length = Math.Min(333, Length - start);
                var part = new Chunk { First = start, Length = length, Base = basis.Skip(start), Sources = rest };
                int count = stream.SampleMagnitudes(part, stride, piece);
                actual.AddRange(piece.Take(count));
            }

            Assert.That(actual, Is.EqualTo(expected));
        }
    }

    [Test]
    public void A_bin_knows_whether_its_elements_are_equal()
    {
        var histogram = new MagnitudeHistogram(5, 0x7FFF_FFFF);
        Assert.That(histogram.Shift, Is.EqualTo(15));
        Assert.That(histogram.OnlyMagnitude(0), Is.Null, "empty");
        histogram.Count(5);
        Assert.That(histogram.OnlyMagnitude(0), Is.EqualTo(5));
        histogram.Count(5);
        Assert.That(histogram.OnlyMagnitude(0), Is.EqualTo(5));
        histogram.Count(6);
        Assert.That(histogram.OnlyMagnitude(0), Is.Null, "two magnitudes");
        histogram.Count(5 + 0x8000 + 0x7FFF);
        Assert.That(histogram.OnlyMagnitude(1), Is.EqualTo(5 + 0xFFFF));
        var other = new MagnitudeHistogram(5, 0x7FFF_FFFF);
        other.Count(5 + 0x8000 + 0x7FFE);
        histogram.Add(other);
        Assert.That(histogram.OnlyMagnitude(1), Is.Null, "another one was added");
        Assert.Throws<ArgumentOutOfRangeException>(() => histogram.Add(new MagnitudeHistogram(4, 0x7FFF_FFFF)));
    }

    private static void AssertSame(MagnitudeHistogram actual, MagnitudeHistogram expected, int length)
    {
        string what = $"length {length}, bracket {expected.Low:x}-{expected.High:x}";
        Assert.That(actual.Above, Is.EqualTo(expected.Above), what);
        Assert.That(actual.Counts.AsSpan().SequenceEqual(expected.Counts), what + ", counts");
        Assert.That(actual.Seen.AsSpan().SequenceEqual(expected.Seen), what + ", places seen");
    }
}
