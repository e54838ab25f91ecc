namespace FusionKernels.Kernels.Tests;

/// <summary>WriteMask: every backend against the reference, and the reference against the masks' definitions.</summary>
public sealed unsafe class MaskTests
{
    private const uint Quarter = 0x3E80_0000, Half = 0x3F00_0000, NaN = 0x7FC0_0000;

    [Test]
    public void Every_length_and_kind_gives_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        foreach (int length in Backends.Some(backend, Enumerable.Range(0, 258).Concat([2047, 2048, 2049, 6000])))
        {
            using var tensors = new TestTensors(length);
            long first = length % 3 * 1000;
            Operand data = tensors.New(type, length, slack: length % 2);
            Operand basis = length % 2 == 0 ? default : tensors.New(ElementType.F16, length, slack: 1);
            Mask[] masks =
            [
                default, Mask.Magnitude(Half, first - 1), Mask.Magnitude(Half, first + (length / 2)),
                Mask.Magnitude(Half, long.MaxValue), Mask.Magnitude(0, -1), Mask.Magnitude(0x7FFF_FFFF, 0),
                Mask.Dropping(new Philox(1, 2), 0.9), tensors.Bits(first + length), Mask.None,
                Mask.Band(Quarter, first - 1, Half, first + length), Mask.Band(0, first, NaN, first + (length / 2)),
                Mask.Band(Quarter, first + (length / 3), Half, first + (length / 2)),
                Mask.Band(Half, first + (length / 3), Half, first + (length / 2)), Mask.Band(0, -1, uint.MaxValue, 0),
            ];
            foreach (Mask mask in masks)
            {
                Source[] sources = [new(data) { Mask = mask }];
                var chunk = new Chunk { First = first, Length = length, Base = basis, Sources = sources };
                using GuardedMemory expected = new((length + 7) / 8), actual = new((length + 7) / 8);
                reference.WriteMask(chunk, expected.Span);
                cpu.WriteMask(chunk, actual.Span);
                if (!actual.Span.SequenceEqual(expected.Span))
                    Assert.Fail($"{mask.Kind}, {length} elements from {first}");
            }
        }
    }

    [Test]
    public void A_magnitude_mask_keeps_what_exceeds_the_threshold_and_ties_up_to_the_last()
    {
        float[] values = [0.5f, -0.5f, 0.25f, -1, 0.5f, float.NaN, float.NegativeInfinity, -0.5f, 0, 0.5f];
        AssertKept(values, Mask.Magnitude(Half, 6), 0, 1, 3, 4, 5, 6);
        AssertKept(values, Mask.Magnitude(Half, 7), 0, 1, 3, 4, 5, 6, 7);
        AssertKept(values, Mask.Magnitude(Half, 9), 0, 1, 3, 4, 5, 6, 7, 9);
        AssertKept(values, Mask.Magnitude(Half, -1), 3, 5, 6);
        AssertKept(values, Mask.Magnitude(0, long.MaxValue), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    }

    [Test]
    public void A_band_drops_the_first_ties_at_its_low_end_and_keeps_the_first_at_its_high_end()
    {
        float[] values = [0.5f, -0.25f, 0.25f, -1, 0.5f, float.NaN, 0.3f, -0.5f, 0, 0.25f];
        AssertKept(values, Mask.Band(Quarter, 2, Half, 4), 0, 4, 6, 9);
        AssertKept(values, Mask.Band(Quarter, -1, Half, -1), 1, 2, 6, 9);
        AssertKept(values, Mask.Band(Quarter, 9, Half, 9), 0, 4, 6, 7);
        AssertKept(values, Mask.Band(Half, 0, Half, 4), 4);
        AssertKept(values, Mask.Band(Half, 4, NaN, 5), 3, 5, 7);
        AssertKept(values, Mask.Band(0, -1, uint.MaxValue, -1), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        AssertKept(values, Mask.None);
    }

    [Test]
    public void A_random_mask_drops_nothing_at_zero_and_everything_at_one()
    {
        float[] values = new float[100];
        AssertKept(values, Mask.Dropping(new Philox(5, 6), 0), [.. Enumerable.Range(0, 100)]);
        AssertKept(values, Mask.Dropping(new Philox(5, 6), 1));
    }

    [Test]
    public void A_random_mask_drops_the_elements_whose_words_are_low()
    {
        var stream = Philox.ForTensor(7, "layer.weight", 1);
        int[] kept = [.. Enumerable.Range(0, 300).Where(i => stream.Word(i) >> 8 >= 0.4 * (1 << 24))];
        AssertKept(new float[300], Mask.Dropping(stream, 0.4), kept);
    }

    [Test]
    public void Arguments_are_checked()
    {
        foreach (string backend in Backends.WithReference)
        {
            using IKernelStream stream = Backends.Open(backend);
            Source[] one = [default(Source) with { Mask = Mask.Dropping(default, 0.5) }];
            void WriteMask(long first, int length, Source[] sources) =>
                stream.WriteMask(new Chunk { First = first, Length = length, Sources = sources }, new byte[1]);
            WriteMask(8, 8, one);
            Assert.Throws<ArgumentOutOfRangeException>(() => WriteMask(1, 1, one));
            Assert.Throws<ArgumentOutOfRangeException>(() => WriteMask(0, 9, one));
            Assert.Throws<ArgumentOutOfRangeException>(() => WriteMask(0, 1, []));
        }
    }

    /// <summary>The mask over a tensor that begins at element 0 keeps exactly the given elements.</summary>
    private static void AssertKept(float[] values, Mask mask, params int[] kept)
    {
        using var tensors = new TestTensors(0);
        Source[] sources = [new(tensors.Copy(values)) { Mask = mask }];
        var chunk = new Chunk { First = 0, Length = values.Length, Sources = sources };
        foreach (string backend in Backends.WithReference)
        {
            using IKernelStream stream = Backends.Open(backend);
            byte[] bits = new byte[(values.Length + 7) / 8];
            stream.WriteMask(chunk, bits);
            var set = Enumerable.Range(0, bits.Length * 8).Where(i => (bits[i / 8] >> (i % 8) & 1) != 0);
            Assert.That(set, Is.EqualTo(kept));
        }
    }
}
