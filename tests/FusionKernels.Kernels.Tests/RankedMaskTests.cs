using FsCheck;
using FsCheck.Fluent;

namespace FusionKernels.Kernels.Tests;

/// <summary>WriteRankedMask: every backend against the reference, and the reference against the draw's definition.</summary>
public sealed unsafe class RankedMaskTests
{
    private static readonly Philox Stream = Philox.ForTensor(7, "layer.weight", 1);

    [Test]
    public void Rows_of_every_length_and_type_have_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        foreach (int columns in Backends.Some(backend, Enumerable.Range(1, 257).Concat([511, 512, 513, 2048, 5000])))
        {
            int rows = columns < 300 ? (columns % 4) + 1 : 2;
            using var tensors = new TestTensors(columns + ((int)type * 1000), anyBits: columns % 2 * 0.05);
            Operand data = tensors.New(type, rows * columns, slack: columns % 2);
            Operand basis = columns % 3 == 0 ? default : tensors.New(ElementType.BF16, rows * columns, slack: 1);
            var draw = new RankedDraw(Stream, 0.5, columns % 5 == 0 ? 0.5 : 0.15, columns);
            AssertSame(backend, data, basis, 8L * columns, rows * columns, draw);
        }
    }

    [Test]
    public void Rows_that_lie_among_each_other_have_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        foreach (var (columns, stride, groups) in new[] { (1, 7, 3), (8, 9, 5), (64, 9, 16), (300, 4, 3), (513, 3, 2) })
        {
            int length = columns * stride * groups;
            using var tensors = new TestTensors(length);
            var draw = new RankedDraw(Stream, 0.3, 0.25, columns, stride);
            AssertSame(backend, tensors.New(ElementType.BF16, length), tensors.New(ElementType.BF16, length), 0, length, draw);
        }
    }

    // What defeats the bins: all magnitudes in one of them, different or equal, sums that overflow, rows of zeros or NaN.
    [Test]
    public void Rows_of_any_distribution_have_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        const int Columns = 3000;
        var random = new Random(5);
        Func<int, float>[] rows =
        [
            i => 1 + (i * 1e-6f), i => 1 - (i * 1e-6f), _ => 0, _ => -0.0f, _ => float.NaN, _ => 3, i => i % 7, i => i % 2 == 0 ? 0 : 1e-3f,
            i => i == 17 ? float.PositiveInfinity : i * 1e-9f, i => i % 3 == 0 ? float.MaxValue : 1, i => i == 5 ? 1e30f : i,
            i => MathF.ScaleB(1, i % 250 - 140), i => i * float.Epsilon, _ => (float)random.NextDouble(),
            _ => MathF.Round((float)random.NextDouble() * 6) * 1e-4f, i => i == 0 ? float.NaN : -i,
        ];
        using var tensors = new TestTensors(0);
        Operand data = tensors.Copy([.. rows.SelectMany(row => Enumerable.Range(0, Columns).Select(row))]);
        foreach (var (density, epsilon) in new[] { (0.5, 0.15), (0.5, 0.5), (0.9, 0.0), (0.5, -0.3) })
            AssertSame(backend, data, default, 0, rows.Length * Columns, new RankedDraw(Stream, density, epsilon, Columns));
    }

    [Test]
    public void The_reference_keeps_what_the_definition_keeps()
    {
        var magnitude = Gen.OneOf(Gen.Choose(-3, 3).Select(v => (float)v), Gen.Elements(float.NaN, float.PositiveInfinity, -0.5f));
        var cases =
            from row in magnitude.NonEmptyListOf()
            from density in Gen.Choose(20, 80)
            from epsilon in Gen.Choose(0, 20)
            select (Row: row.ToArray(), Density: density / 100.0, Epsilon: epsilon / 100.0);
        Check.One(
            Config.QuickThrowOnFailure.WithReplay(7, 9).WithMaxTest(300),
            Prop.ForAll(cases.ToArbitrary(), c =>
            {
                using var tensors = new TestTensors(0);
                var chunk = new Chunk { First = 0, Length = c.Row.Length, Sources = [new Source(tensors.Copy(c.Row))] };
                byte[] bits = new byte[(c.Row.Length + 7) / 8];
                using var stream = Backends.Reference.OpenStream();
                stream.WriteRankedMask(chunk, new RankedDraw(Stream, c.Density, c.Epsilon, c.Row.Length), bits);
                for (int i = 0; i < c.Row.Length; i++)
                {
                    // rank = how many come before it in a stable ascending sort.
                    int rank = c.Row.Where((v, j) => Order(v).CompareTo(Order(c.Row[i])) is var o && (o < 0 || (o == 0 && j < i))).Count();
                    double share = c.Row.Length == 1 ? 1 : rank / (c.Row.Length - 1.0);
                    double probability = c.Density - c.Epsilon + (share * 2 * c.Epsilon);
                    bool kept = (Stream.Word(i) >> 8) / (double)(1 << 24) < probability;
                    Assert.That((bits[i / 8] >> (i % 8) & 1) != 0, Is.EqualTo(kept), $"{i} of {string.Join(' ', c.Row)}");
                }
            }));

        static float Order(float value) => float.IsNaN(value) ? float.MaxValue * 2 * 2 : float.IsInfinity(value) ? float.MaxValue : MathF.Abs(value);
    }

    [Test]
    public void The_share_of_kept_elements_grows_with_the_magnitude()
    {
        const int Columns = 20_000;
        using var tensors = new TestTensors(0);
        Operand data = tensors.Copy([.. Enumerable.Range(0, Columns).Select(i => (float)(i * 7 % Columns))]);
        byte[] bits = new byte[Columns / 8];
        using var stream = Backends.OpenCpu(512);
        stream.WriteRankedMask(new Chunk { First = 0, Length = Columns, Sources = [new(data)] }, new RankedDraw(Stream, 0.6, 0.2, Columns), bits);
        for (int tenth = 0; tenth < 10; tenth++)
        {
            var members = Enumerable.Range(0, Columns).Where(i => i * 7 % Columns * 10L / Columns == tenth).ToArray();
            double kept = members.Count(i => (bits[i / 8] >> (i % 8) & 1) != 0) / (double)members.Length;
            Assert.That(kept, Is.EqualTo(0.42 + (0.04 * tenth)).Within(0.05));
        }
    }

    [Test]
    public void Arguments_are_checked()
    {
        foreach (string backend in Backends.WithReference)
        {
            using IKernelStream stream = Backends.Open(backend);
            using var tensors = new TestTensors(0);
            Source[] one = [new(tensors.Copy(new float[24]))];
            void Write(long first, int length, RankedDraw draw) =>
                stream.WriteRankedMask(new Chunk { First = first, Length = length, Sources = one }, draw, new byte[3]);
            var draw = new RankedDraw(Stream, 0.5, 0.1, 4, 2);
            Write(8, 16, draw);
            Write(8, 0, draw);
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(0, 12, draw));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(4, 16, draw));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(8, 12, draw with { Columns = 3 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(0, 16, draw with { Columns = 0 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(0, 16, draw with { Stride = 0 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(0, 16, draw with { Epsilon = 0.6 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => Write(0, 16, draw with { Epsilon = -0.6 }));
        }
    }

    private static void AssertSame(string backend, Operand data, Operand basis, long first, int length, RankedDraw draw)
    {
        // In one chunk, and cut where a group and a byte end together.
        using IKernelStream cpu = Backends.Open(backend), reference = Backends.Reference.OpenStream();
        Source[] sources = [new(data) { Scale = 3, Mask = Mask.None }];
        using GuardedMemory expected = new((length + 7) / 8), actual = new((length + 7) / 8);
        reference.WriteRankedMask(new Chunk { First = first, Length = length, Base = basis, Sources = sources }, draw, expected.Span);
        cpu.WriteRankedMask(new Chunk { First = first, Length = length, Base = basis, Sources = sources }, draw, actual.Span);
        Assert.That(actual.Span.SequenceEqual(expected.Span), $"{length} elements, {draw}");
        int part = (int)draw.Group;
        while (part % 8 != 0)
            part *= 2;
        for (int start = 0; start < length; start += part)
        {
            int count = Math.Min(part, length - start);
            Source[] rest = [new(data.Skip(start))];
            var chunk = new Chunk { First = first + start, Length = count, Base = basis.Skip(start), Sources = rest };
            cpu.WriteRankedMask(chunk, draw, actual.Span[(start / 8)..((start + count + 7) / 8)]);
        }

        Assert.That(actual.Span.SequenceEqual(expected.Span), $"{length} elements in chunks of {part}, {draw}");
    }
}
