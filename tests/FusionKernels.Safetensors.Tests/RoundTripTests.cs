using FsCheck;
using FsCheck.Fluent;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Whatever can be planned is accepted by the reader, which finds what was planned.</summary>
[TestFixture]
public sealed class RoundTripTests
{
    private static readonly Config Seeded = Config.QuickThrowOnFailure.WithMaxTest(500).WithReplay(20_26, 1);

    private static Gen<string> Texts { get; } = ArbMap.Default.GeneratorFor<string>().Select(Readable);

    // Sub-byte types need multiples of 4 or 8 elements; eight in the last dimension suits them all.
    private static Gen<TensorSpec> Specs { get; } =
        from name in Texts
        from dtype in Gen.Elements(Enum.GetValues<Dtype>())
        from shape in Gen.Choose(0, 5).Select(i => (long)i).ListOf()
        select new TensorSpec(name, dtype, dtype.Bits() % 8 == 0 ? [.. shape.Take(4)] : [.. shape.Take(3), 8]);

    private static Gen<(TensorSpec[] Tensors, Dictionary<string, string> Metadata, long Limit)> Plans { get; } =
        from tensors in Specs.ListOf()
        from pairs in Texts.Two().ListOf()
        from limit in Gen.Choose(1, 2000)
        select (
            tensors.DistinctBy(t => t.Name).ToArray(),
            pairs.DistinctBy(p => p.Item1).ToDictionary(p => p.Item1, p => p.Item2),
            (long)limit);

    [Test]
    public void A_planned_file_is_read_as_planned() =>
        Check.One(Seeded, Prop.ForAll(Plans.ToArbitrary(), plan =>
        {
            OutputLayout layout = OutputLayout.Plan(plan.Tensors, plan.Metadata, plan.Limit);
            var found = new List<string>();
            foreach (ShardLayout shard in layout.Shards)
            {
                byte[] file = new byte[shard.FileLength];
                shard.Header.CopyTo(file);
                SafetensorsHeader header = SafetensorsHeader.Parse(file);
                Assert.That(header.DataOffset % 8, Is.Zero);
                Assert.That(header.Metadata, Is.EquivalentTo(plan.Metadata));
                Assert.That(
                    header.Tensors.Select(t => (t.Name, t.Dtype, t.Begin + header.DataOffset, t.ByteLength)),
                    Is.EquivalentTo(shard.Tensors.Select(t => (t.Name, t.Dtype, t.Offset, t.ByteLength))));
                foreach (TensorInfo tensor in header.Tensors)
                {
                    Assert.That(layout.TryGet(tensor.Name, out PlacedTensor? place));
                    Assert.That(place!.Shape, Is.EqualTo(tensor.Shape));
                    found.Add(tensor.Name);
                }

                Assert.That(header.DataLength <= plan.Limit || header.Tensors.Count(t => t.ByteLength > 0) == 1);
            }

            Assert.That(found, Is.EquivalentTo(plan.Tensors.Select(t => t.Name)));
            Assert.That(layout.IndexJson is null, Is.EqualTo(layout.Shards.Count == 1));
            if (layout.IndexJson is not { } text) return;
            ShardIndex index = ShardIndex.Parse(text.Span, "index");
            Assert.That(index.TotalSize, Is.EqualTo((ulong)layout.TotalSize));
            Assert.That(
                index.WeightMap.Select(entry => (entry.Key, entry.Value)),
                Is.EquivalentTo(layout.Shards.SelectMany(s => s.Tensors.Select(t => (t.Name, s.FileName)))));
        }));

    [Test]
    public void Strings_are_ordered_by_their_utf8_bytes() =>
        Check.One(Seeded, Prop.ForAll(Texts.Two().ToArbitrary(), pair =>
        {
            int bytes = System.Text.Encoding.UTF8.GetBytes(pair.Item1).AsSpan()
                .SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(pair.Item2));
            return Math.Sign(Utf8Order.Instance.Compare(pair.Item1, pair.Item2)) == Math.Sign(bytes);
        }));

    // Lone surrogates become U+FFFD, as in any UTF-8 text; null becomes empty.
    private static string Readable(string? text) =>
        System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text ?? ""));
}
