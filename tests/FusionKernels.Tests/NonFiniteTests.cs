using System.Runtime.InteropServices;
using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Reference;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

public unsafe class NonFiniteTests
{
    private static readonly Recipe Sum = Recipe.For("linear").Add("m0", ("weight", 1)).Add("m1", ("weight", 0))
        .With("normalize", 0);

    [Test]
    public void Counts_are_those_of_the_reference([Values] ElementType type)
    {
        var random = new Random(1);
        using var stream = new ReferenceBackend().OpenStream();
        foreach (int length in Enumerable.Range(0, 70).Concat([500, 1023, 4096, 5001]))
        {
            // Half of the runs are random patterns, many of which have all exponent bits; the others have very few.
            byte[] bytes = new byte[(length * type.Size()) + 1];
            if (length % 2 == 0)
                random.NextBytes(bytes);
            for (int i = 0; i < 3 && length > 0; i++)
                bytes.AsSpan(1 + (random.Next(length) * type.Size()), type.Size()).Fill(0xFF);
            var elements = bytes.AsSpan(1);
            var difference = default(Difference);
            fixed (byte* data = elements)
                stream.Compare(new Operand(type, data), new Operand(type, data), length, ref difference);

            // The reference reads F64 as fp32, where large numbers are infinite.
            long expected = type != ElementType.F64 ? difference.NonFinite
                : MemoryMarshal.Cast<byte, double>(elements).ToArray().Count(v => !double.IsFinite(v));
            Assert.That(NonFinite.Count(type, elements), Is.EqualTo(expected), $"{length} elements");
        }
    }

    [Test]
    public void A_merge_tells_what_it_wrote_and_an_output_that_is_kept_tells_it_again()
    {
        var models = Models();
        var store = new MemoryStore();
        (string, long)[] expected = [("a", 2), ("c", 1)];
        Assert.That(Merged(store, models, new()).NonFinite, Is.EqualTo(expected));
        var again = Merged(store, models, new());
        Assert.That(again.ShardsReused, Is.EqualTo(again.Shards));
        Assert.That(again.NonFinite, Is.EqualTo(expected));
    }

    [Test]
    public void Refused_values_name_the_tensor_and_their_shard_gets_no_name()
    {
        var store = new MemoryStore();
        var failure = Assert.Throws<MergeException>(() => Merged(store, Models(), new() { NonFinite = NonFiniteValues.Fail }))!;
        Assert.That(failure.Kind, Is.EqualTo(MergeError.Models));
        Assert.That(failure.Message, Does.Contain(": a: holds NaN or infinities (2 of").And.Contain("model-00001-of-00003.safetensors"));
        Assert.That(store.Files.Keys, Has.None.EndsWith(".safetensors").And.None.EndsWith(IOutputStore.PartialSuffix));

        var later = Models();
        later["m0"][0] = Tensor("a", 1, 2, 3);
        later["m1"][0] = Tensor("a", 1, 2, 3);
        store = new MemoryStore();
        failure = Assert.Throws<MergeException>(() => Merged(store, later, new() { NonFinite = NonFiniteValues.Fail }))!;
        Assert.That(failure.Message, Does.Contain(": c: holds NaN or infinities (1 of"));
        Assert.That(store.Files.Keys.Count(name => name.EndsWith(".safetensors", StringComparison.Ordinal)), Is.EqualTo(2));
    }

    [Test]
    public void An_output_of_a_run_that_reported_is_refused_by_one_that_must_not_have_them()
    {
        var models = Models();
        var store = new MemoryStore();
        Merged(store, models, new());
        var before = store.Files.ToDictionary();
        Assert.That(
            () => Merged(store, models, new() { NonFinite = NonFiniteValues.Fail }),
            Throws.InstanceOf<MergeException>().With.Message.Contain(": a: holds NaN or infinities (2 of"));
        Assert.That(store.Files, Is.EquivalentTo(before));
    }

    // Three tensors of three elements, a shard each; what m1 has of them counts with the weight 0, so that its infinity
    // becomes NaN.
    private static Dictionary<string, MemoryTensor[]> Models() => new()
    {
        ["m0"] = [Tensor("a", float.NaN, 1, 2), Tensor("b", 1, 2, 3), Tensor("c", 1, 2, 3)],
        ["m1"] = [Tensor("a", 1, 2, float.PositiveInfinity), Tensor("b", 4, 5, 6), Tensor("c", 1, float.NegativeInfinity, 1)],
    };

    private static MemoryTensor Tensor(string name, params float[] values) => ToyModels.F32(name, [values.Length], values);

    private static MergeReport Merged(MemoryStore store, Dictionary<string, MemoryTensor[]> models, MergeOptions options) =>
        InMemoryMerge.Into(store, Sum, models, out _, options with { Threads = 1, MaxShardBytes = 12 });
}
