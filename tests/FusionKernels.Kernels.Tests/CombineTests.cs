using FsCheck;
using FsCheck.Fluent;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Combine on every backend against the reference, bit for bit; and the reference's rules by their properties.
/// </summary>
public sealed unsafe class CombineTests
{
    private static readonly long[] Firsts = [0, 3, 64, 1001];

    [Test]
    public void Every_rule_and_length_gives_the_bits_of_the_reference(
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType input,
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType output)
    {
        using var streams = new Streams();
        int turn = ((int)input * 6) + (int)output;
        for (int length = 0; length <= 257; length++, turn++)
        {
            using var tensors = new TestTensors(turn);
            long first = Firsts[turn % Firsts.Length];
            var sources = new Source[turn % 4];
            for (int model = 0; model < sources.Length; model++)
                sources[model] = new Source(WithSpecials(tensors.New(input, length, slack: model), length, model));
            Operand basis = turn % 3 == 0
                ? default
                : WithSpecials(tensors.New(input, length, slack: length % 2), length, 5);
            CombineCase.Mix(sources, turn / 4 % CombineCase.Mixtures, first, length, tensors);
            var chunk = new Chunk { First = first, Length = length, Base = basis, Sources = sources };
            for (int rule = 0; rule < CombineCase.Rules; rule++)
                streams.AssertSame(rule, chunk, output, number: (turn * CombineCase.Rules) + rule, every: 4507);
        }
    }

    [Test]
    public void Inputs_of_mixed_types_over_several_tiles_give_the_bits_of_the_reference(
        [Range(0, CombineCase.Mixtures - 1)] int mixture,
        [Values] bool hasBase)
    {
        const int Length = 4500;
        using var streams = new Streams();
        foreach (long first in Firsts)
        {
            using var tensors = new TestTensors(mixture + (int)first);
            Source[] sources = [.. Backends.Types.Select((type, model) =>
                new Source(WithSpecials(tensors.New(type, Length, slack: model), Length, model)))];
            Operand basis = hasBase ? tensors.New(ElementType.F16, Length) : default;
            CombineCase.Mix(sources, mixture, first, Length, tensors);
            byte[][] before = tensors.Snapshot();
            var chunk = new Chunk { First = first, Length = Length, Base = basis, Sources = sources };
            for (int rule = 0; rule < CombineCase.Rules; rule++)
                streams.AssertSame(rule, chunk, Backends.Types[(rule + mixture) % Backends.Types.Length], number: (CombineCase.Rules * ((2 * mixture) + (hasBase ? 1 : 0))) + rule + (int)first, every: 29);
            Assert.That(tensors.Snapshot(), Is.EqualTo(before), "inputs were written");
        }
    }

    [Test]
    public void The_output_may_be_the_base_or_a_model(
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type,
        [Values(0, 2, 6)] int mixture)
    {
        using var streams = new Streams();
        foreach (int length in new[] { 1, 15, 16, 17, 100, 257, 2048, 5001 })
        {
            using var tensors = new TestTensors(length);
            Operand[] operands = [.. Enumerable.Range(0, 4).Select(i => tensors.New(type, length, slack: i))];
            Source[] sources = [.. operands[1..].Select(data => new Source(data))];
            CombineCase.Mix(sources, mixture, 5, length, tensors);
            var chunk = new Chunk { First = 5, Length = length, Base = operands[0], Sources = sources };
            for (int rule = 0; rule < CombineCase.Rules; rule++)
            {
                foreach (int place in new[] { 0, 2 })
                    streams.AssertSame(rule, chunk, type, operands[place], number: (length * CombineCase.Rules) + rule, every: 211);
            }
        }
    }

    [Test]
    public void The_division_into_chunks_does_not_change_a_bit(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string backend,
        [Range(0, CombineCase.Mixtures - 1)] int mixture,
        [Values] bool mixed)
    {
        const int Length = 6000;
        const long First = 9;
        int[] cuts = [0, 1, 8, 71, 72, 700, 2749, 2750, 4811, Length];
        using IKernelStream stream = Backends.Open(backend);
        using var tensors = new TestTensors(mixture);
        Source[] sources = [.. Enumerable.Range(0, 3).Select(model =>
            new Source(tensors.New(mixed && model == 1 ? ElementType.F8E5M2 : ElementType.BF16, Length)))];
        CombineCase.Mix(sources, mixture, First, Length, tensors);
        Operand basis = tensors.New(ElementType.BF16, Length);
        for (int rule = 0; rule < CombineCase.Rules; rule++)
        {
            if (!Backends.Takes(backend, rule, every: 7))
                continue;
            using var whole = new GuardedMemory(Length * 2);
            using var pieces = new GuardedMemory(Length * 2);
            var output = new Operand(ElementType.BF16, whole.Address);
            var all = new Chunk { First = First, Length = Length, Base = basis, Sources = sources };
            CombineCase.Run(stream, rule, all, output);
            for (int i = 0; i + 1 < cuts.Length; i++)
            {
                int cut = cuts[i];
                var chunk = new Chunk
                {
                    First = First + cut,
                    Length = cuts[i + 1] - cut,
                    Base = basis.Skip(cut),
                    Sources = [.. sources.Select(source => source with { Data = source.Data.Skip(cut) })],
                };
                CombineCase.Run(stream, rule, chunk, new Operand(ElementType.BF16, pieces.Address).Skip(cut));
            }

            Assert.That(pieces.Span.SequenceEqual(whole.Span), $"rule {rule}");
        }
    }

    [Test]
    public void Random_masks_far_into_a_tensor_give_the_bits_of_the_reference()
    {
        const int Length = 3001;
        const long First = (1L << 35) - 1001;
        using var streams = new Streams();
        using var tensors = new TestTensors(1);
        Source[] sources = CombineCase.Mix([new(tensors.New(ElementType.BF16, Length))], 2, First, Length, tensors);
        Operand basis = tensors.New(ElementType.BF16, Length);
        var chunk = new Chunk { First = First, Length = Length, Base = basis, Sources = sources };
        streams.AssertSame(1, chunk, ElementType.F32);
    }

    [Test]
    public void A_masked_infinity_gives_NaN_and_a_masked_finite_value_gives_the_base()
    {
        float[] models = [float.PositiveInfinity, 2, float.NaN], merged = new float[3], origin = [1, 1, 1];
        using var streams = new Streams();
        foreach (IKernelStream stream in streams.All)
        {
            fixed (float* data = models, basis = origin, output = merged)
            {
                Source[] sources = [new(new Operand(ElementType.F32, data)) { Mask = Mask.Dropping(default, 1) }];
                var chunk = new Chunk { First = 0, Length = 3, Base = new(ElementType.F32, basis), Sources = sources };
                stream.Combine(chunk, new TaskArithmetic(1, 1), new Operand(ElementType.F32, output));
            }

            Assert.That(merged, Is.EqualTo(new[] { float.NaN, 1, float.NaN }));
        }
    }

    [Test]
    public void Weights_one_and_zero_give_the_first_model() => Check((x, y, z) =>
        Same(Merge(new WeightedSum(1), null, (x, 1), (y, 0)), x));

    [Test]
    public void Lambda_zero_gives_the_base() => Check((x, y, z) =>
        Same(Merge(new TaskArithmetic(0, 1), z, (x, 1), (y, 0.5f)), z)
        && Same(Merge(new DisjointMerge(0, true), z, (x, 1), (y, 0.5f)), z)
        && Same(Merge(new DisjointMax(0, false), z, (x, 1), (y, 0.5f)), z));

    [Test]
    public void One_model_of_weight_one_gives_base_plus_delta() => Check((x, y, z) =>
    {
        float[] expected = [.. x.Zip(z, (a, b) => b + (a - b))];
        return Same(Merge(new TaskArithmetic(1, 1), z, (x, 1)), expected)
            && Same(Merge(new DisjointMerge(1, true), z, (x, 1)), expected)
            && Same(Merge(new DisjointMax(1, false), z, (x, 1)), expected);
    });

    [Test]
    public void The_order_of_models_does_not_matter_where_sums_are_exact() => Check((x, y, z) =>
    {
        bool commutes<TRule>(TRule rule)
            where TRule : struct, ICombineRule =>
            Same(Merge(rule, z, (x, 1), (y, 2)), Merge(rule, z, (y, 2), (x, 1)));
        return commutes(new TaskArithmetic(1, 1)) && commutes(new DisjointMerge(1, true)) && commutes(new DisjointMax(1, true));
    });

    [Test]
    public void Equal_models_merge_to_themselves() => Check((x, y, z) =>
        Same(Merge(new DisjointMerge(1, true), null, (x, 1), (x, 1)), x)
        && Same(Merge(new DisjointMax(1, false), null, (x, 1), (x, 1)), x)
        && Same(Merge(new WeightedSum(2), null, (x, 1), (x, 1)), x));

    [Test]
    public void Arguments_are_checked()
    {
        using var tensors = new TestTensors(0);
        using var streams = new Streams();
        Operand there = tensors.New(ElementType.F32, 1), unknown = there with { Type = (ElementType)99 };
        foreach (IKernelStream stream in streams.All)
        {
            void Combine(long first, int length, Operand data, Operand output) => stream.Combine(
                new Chunk { First = first, Length = length, Sources = [new Source(data)] }, new WeightedSum(1), output);
            Combine(0, 0, default, default);
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(-1, 0, there, there));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(0, -1, there, there));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(long.MaxValue, 1, there, there));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(0, 1, default, there));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(0, 1, there, default));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(0, 1, unknown, there));
            Assert.Throws<ArgumentOutOfRangeException>(() => Combine(0, 1, there, unknown));
        }
    }

    private static Operand WithSpecials(Operand data, int length, int seed)
    {
        float[] specials =
        [
            float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0, -0f, float.Epsilon, -1e-40f, 6e-8f,
            0.001953125f, float.MaxValue, -65504, 448, 57344, 0.5f, -0.5f,
        ];
        for (int i = seed; i < length; i += 11)
            Reference.Element.Write(data, i, specials[(i + seed) % specials.Length]);
        return data;
    }

    private static float[] Merge<TRule>(
        TRule rule, float[]? basis, params ReadOnlySpan<(float[] Data, float Weight)> models)
        where TRule : struct, ICombineRule
    {
        using var tensors = new TestTensors(0);
        int length = models[0].Data.Length;
        var sources = new Source[models.Length];
        for (int model = 0; model < models.Length; model++)
            sources[model] = new Source(tensors.Copy(models[model].Data)) { Weight = models[model].Weight };
        var chunk = new Chunk
        {
            First = 0, Length = length, Base = basis == null ? default : tensors.Copy(basis), Sources = sources,
        };
        Operand output = tensors.New(ElementType.F32, length);
        using IKernelStream stream = Backends.OpenCpu(512);
        stream.Combine(chunk, rule, output);
        return new ReadOnlySpan<float>((void*)output.Address, length).ToArray();
    }

    /// <summary>
    /// Three arrays of one length, of small multiples of a quarter: sums and products of few of them are exact.
    /// </summary>
    private static void Check(Func<float[], float[], float[], bool> property)
    {
        var value = Gen.Choose(-64, 64).Select(quarters => quarters / 4f);
        var triples = Gen.Choose(1, 80).SelectMany(length => Gen.Three(value.ArrayOf(length)));
        Prop.ForAll(triples.ToArbitrary(), triple => property(triple.Item1, triple.Item2, triple.Item3))
            .QuickCheckThrowOnFailure();
    }

    private static bool Same(float[] left, float[] right) => left.AsSpan().SequenceEqual(right);

    private sealed class Streams : IDisposable
    {
        private readonly IKernelStream _reference = Backends.Reference.OpenStream();
        private readonly (string Name, IKernelStream Stream)[] _tested = [.. Backends.Names.Select(n => (n, Backends.Open(n)))];

        public IEnumerable<IKernelStream> All => _tested.Select(t => t.Stream).Append(_reference);

        /// <summary>
        /// All backends give the bits of the reference, into memory of their own, or in place of an input; devices where
        /// they take case <paramref name="number"/> of <paramref name="every"/>.
        /// </summary>
        public void AssertSame(
            int rule, in Chunk chunk, ElementType type, Operand inPlace = default, int number = 0, int every = 1)
        {
            int bytes = chunk.Length * type.Size();
            using GuardedMemory expected = new(bytes), own = new(bytes);
            CombineCase.Run(_reference, rule, chunk, new Operand(type, expected.Address));
            foreach (var (name, stream) in _tested)
            {
                if (!Backends.Takes(name, number, every))
                    continue;
                own.Span.Fill(0xA5);
                Operand output = inPlace.Exists ? inPlace : new Operand(type, own.Address);
                var actual = new Span<byte>((void*)output.Address, bytes);
                byte[] before = actual.ToArray();
                CombineCase.Run(stream, rule, chunk, output);
                if (!actual.SequenceEqual(expected.Span))
                {
                    int at = actual.CommonPrefixLength(expected.Span) / type.Size();
                    float actually = Reference.Element.Read(output, at);
                    float should = Reference.Element.Read(new(type, expected.Address), at);
                    Assert.Fail($"rule {rule}, {name}, {chunk.Length} elements from {chunk.First}: "
                        + $"element {at} is {actually:R}, not {should:R}");
                }

                if (inPlace.Exists)
                    before.CopyTo(actual);
            }
        }

        public void Dispose()
        {
            foreach (IKernelStream stream in All)
                stream.Dispose();
        }
    }
}
