namespace FusionKernels.Kernels.Tests;

/// <summary>WriteMask: every width against the reference, and the reference against the masks' definitions.</summary>
public sealed unsafe class MaskTests
{
    private const uint Half = 0x3F00_0000;

    [Test]
    public void Every_length_and_kind_gives_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Widths))] int width,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        using IKernelStream cpu = Backends.OpenCpu(width), reference = Backends.Reference.OpenStream();
        foreach (int length in Enumerable.Range(0, 258).Concat([2047, 2048, 2049, 6000]))
        {
            using var tensors = new TestTensors(length);
            long first = length % 3 * 1000;
            Operand data = tensors.New(type, length, slack: length % 2);
            Operand basis = length % 2 == 0 ? default : tensors.New(ElementType.F16, length, slack: 1);
            Mask[] masks =
            [
                default, Mask.Magnitude(Half, first - 1), Mask.Magnitude(Half, first + (length / 2)),
                Mask.Magnitude(Half, long.MaxValue), Mask.Magnitude(0, -1), Mask.Magnitude(0x7FFF_FFFF, 0),
                Mask.Dropping(new Philox(1, 2), 0.9), tensors.Bits(first + length),
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
        foreach (int width in Backends.Widths.Append(0))
        {
            using IKernelStream stream = width == 0 ? Backends.Reference.OpenStream() : Backends.OpenCpu(width);
            Source[] one = [default(Source) with { Mask = Mask.Dropping(default, 0.5) }];
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.WriteMask(new() { First = 1, Length = 1, Sources = one }, [0]));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.WriteMask(new() { First = 0, Length = 9, Sources = one }, [0]));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.WriteMask(new() { First = 0, Length = 1, Sources = [] }, [0]));
        }
    }

    /// <summary>The mask over a tensor that begins at element 0 keeps exactly the given elements.</summary>
    private static void AssertKept(float[] values, Mask mask, params int[] kept)
    {
        using var tensors = new TestTensors(0);
        Source[] sources = [new(tensors.Copy(values)) { Mask = mask }];
        var chunk = new Chunk { First = 0, Length = values.Length, Sources = sources };
        foreach (int width in Backends.Widths.Append(0))
        {
            using IKernelStream stream = width == 0 ? Backends.Reference.OpenStream() : Backends.OpenCpu(width);
            byte[] bits = new byte[(values.Length + 7) / 8];
            stream.WriteMask(chunk, bits);
            Assert.That(Enumerable.Range(0, bits.Length * 8).Where(i => (bits[i / 8] >> (i % 8) & 1) != 0), Is.EqualTo(kept));
        }
    }
}
