using System.Text;
using System.Text.Json;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Headers byte by byte as the reference writes them, and shards as the hub's tools cut them.</summary>
[TestFixture]
public sealed class OutputLayoutTests
{
    private static readonly Dictionary<string, string> NoMetadata = [];

    [Test]
    public void An_empty_file_is_sixteen_bytes()
    {
        OutputLayout layout = OutputLayout.Plan([], NoMetadata);
        Assert.That(layout.Shards[0].Header.ToArray(), Is.EqualTo("\u0008\0\0\0\0\0\0\0{}      "u8.ToArray()));
        Assert.That(layout.Shards[0].FileLength, Is.EqualTo(16));
    }

    [Test]
    public void An_empty_file_with_metadata_is_padded_to_eight() =>
        Assert.That(
            Header([], new() { ["framework"] = "pt" }),
            Is.EqualTo("\u0028\0\0\0\0\0\0\0{\"__metadata__\":{\"framework\":\"pt\"}}     "));

    [Test]
    public void The_default_metadata_is_what_loaders_ask_for() =>
        Assert.That(
            Encoding.UTF8.GetString(OutputLayout.Plan([]).Shards[0].Header.Span)[8..],
            Is.EqualTo("{\"__metadata__\":{\"format\":\"pt\"}}"));

    [Test]
    public void A_single_tensor_is_written_as_the_reference_does() =>
        Assert.That(
            Header([new("attn.0", Dtype.F32, [1, 2, 3])]),
            Is.EqualTo(
                "\u0040\0\0\0\0\0\0\0{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"));

    // The JSON has 65 bytes; seven spaces bring the header to 72 and the data to 80.
    [Test]
    public void A_header_is_padded_so_that_data_starts_at_a_multiple_of_eight()
    {
        ShardLayout shard = OutputLayout.Plan([new("attn0", Dtype.F32, [1, 1, 2, 3])], NoMetadata).Shards[0];
        string text = Encoding.Latin1.GetString(shard.Header.Span);
        Assert.That(text, Is.EqualTo(
            "\u0048\0\0\0\0\0\0\0{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}       "));
        Assert.That(shard.Tensors[0].Offset, Is.EqualTo(80));
        Assert.That(shard.FileLength, Is.EqualTo(104));
    }

    [Test]
    public void Tensors_are_sorted_by_falling_rank_of_type_then_by_name()
    {
        TensorSpec[] specs = [.. Enum.GetValues<Dtype>().SelectMany(dtype => new TensorSpec[]
        {
            new($"z{(int)dtype}", dtype, [8]), new($"a{(int)dtype}", dtype, [8]),
        })];
        IReadOnlyList<PlacedTensor> tensors = OutputLayout.Plan(specs).Shards[0].Tensors;
        Assert.That(
            tensors.Select(t => t.Name),
            Is.EqualTo(Enumerable.Range(0, 22).Reverse().SelectMany(rank => new[] { $"a{rank}", $"z{rank}" })));
        for (int i = 1; i < tensors.Count; i++)
        {
            Assert.That(tensors[i].Offset, Is.EqualTo(tensors[i - 1].Offset + tensors[i - 1].ByteLength));
        }
    }

    [Test]
    public void Names_are_sorted_by_their_utf8_bytes()
    {
        // U+1F600 is written with surrogates D83D DE00, which .NET's ordinal order puts before U+FF21.
        string[] sorted = ["", "A", "B", "a", "aa", "é", "Ａ", "😀", "😀a"];
        TensorSpec[] specs = [.. sorted.Reverse().Select(name => new TensorSpec(name, Dtype.U8, [1]))];
        Assert.That(OutputLayout.Plan(specs).Shards[0].Tensors.Select(t => t.Name), Is.EqualTo(sorted));
        string[] bytes = [.. sorted.Select(name => Convert.ToHexString(Encoding.UTF8.GetBytes(name)))];
        Assert.That(bytes.Order(StringComparer.Ordinal), Is.EqualTo(bytes));
    }

    [Test]
    public void Names_are_escaped_as_serde_does() =>
        Assert.That(
            Header([new("\"\\/\b\t\n\f\r\0\u001f\u007f<>&'+é\u2028😀", Dtype.U8, [])])[8..].TrimEnd(' '),
            Is.EqualTo(
                "{\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\u007f<>&'+é\u2028😀\":"
                + "{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}"));

    [Test]
    public void Metadata_comes_first_with_its_keys_in_order() =>
        Assert.That(
            Header([new("a", Dtype.U8, [0])], new() { ["z"] = "\n", ["b"] = "é" })[8..].TrimEnd(' '),
            Is.EqualTo(
                "{\"__metadata__\":{\"b\":\"é\",\"z\":\"\\n\"},"
                + "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"));

    /// <summary>A file of another writer, planned again from its tensors, has the same header to the byte.</summary>
    [TestCase("candle-csm-voices.safetensors")]
    [TestCase("fluxml-model.numpy.safetensors")]
    [TestCase("fluxml-model.with_metadata.safetensors")]
    [TestCase("fluxml-sharded/model-00001-of-00006.safetensors")]
    [TestCase("fluxml-sharded/model-00002-of-00006.safetensors")]
    [TestCase("fluxml-sharded/model-00003-of-00006.safetensors")]
    [TestCase("fluxml-sharded/model-00004-of-00006.safetensors")]
    [TestCase("fluxml-sharded/model-00005-of-00006.safetensors")]
    [TestCase("fluxml-sharded/model-00006-of-00006.safetensors")]
    [TestCase("pybridge-tensors.safetensors")]
    public void The_header_of_a_file_that_the_reference_wrote_is_reproduced(string file)
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(CorpusTests.Folder, file));
        SafetensorsHeader header = SafetensorsHeader.Parse(bytes);
        TensorSpec[] specs = [.. header.Tensors.Reverse().Select(t => new TensorSpec(t.Name, t.Dtype, t.Shape))];
        ReadOnlySpan<byte> planned = OutputLayout.Plan(specs, header.Metadata).Shards[0].Header.Span;
        string original = Encoding.UTF8.GetString(bytes, 0, (int)header.DataOffset);
        Assert.That(Encoding.UTF8.GetString(planned), Is.EqualTo(original));
    }

    [Test]
    public void One_shard_has_the_plain_name_and_no_index()
    {
        OutputLayout layout = OutputLayout.Plan([new("a", Dtype.F32, [4])]);
        Assert.That(layout.Shards.Single().FileName, Is.EqualTo("model.safetensors"));
        Assert.That(layout.IndexJson, Is.Null);
        Assert.That(layout.TotalSize, Is.EqualTo(16));
    }

    [Test]
    public void Shards_fill_greedily_in_the_given_order_up_to_the_limit()
    {
        TensorSpec[] specs = [.. Enumerable.Range(0, 7).Select(i => new TensorSpec($"t{i}", Dtype.U8, [i + 1]))];
        Assert.That(Shards(specs, 7), Is.EqualTo(new[] { "t0 t1 t2", "t3", "t4", "t5", "t6" }));
        Assert.That(Shards(specs, 10), Is.EqualTo(new[] { "t0 t1 t2 t3", "t4", "t5", "t6" }));
        Assert.That(Shards(specs, 28), Is.EqualTo(new[] { "t0 t1 t2 t3 t4 t5 t6" }));
        Assert.That(Shards(specs, 27), Is.EqualTo(new[] { "t0 t1 t2 t3 t4 t5", "t6" }));
    }

    [Test]
    public void A_tensor_over_the_limit_has_its_own_shard_and_does_not_end_the_one_being_filled()
    {
        TensorSpec[] specs =
        [
            new("a", Dtype.U8, [4]), new("huge", Dtype.U8, [11]), new("b", Dtype.U8, [4]), new("c", Dtype.U8, [4]),
        ];
        Assert.That(Shards(specs, 10), Is.EqualTo(new[] { "huge", "a b", "c" }));
    }

    [Test]
    public void Shards_are_numbered_with_five_digits_from_one()
    {
        TensorSpec[] specs = [.. Enumerable.Range(0, 12).Select(i => new TensorSpec($"t{i}", Dtype.U8, [1]))];
        OutputLayout layout = OutputLayout.Plan(specs, maxShardBytes: 1);
        Assert.That(layout.Shards[0].FileName, Is.EqualTo("model-00001-of-00012.safetensors"));
        Assert.That(layout.Shards[11].FileName, Is.EqualTo("model-00012-of-00012.safetensors"));
        Assert.That(layout.TryGet("t11", out PlacedTensor? tensor));
        Assert.That((tensor!.Shard, tensor.Offset), Is.EqualTo((11, (long)layout.Shards[11].Header.Length)));
        Assert.That(layout.TryGet("t12", out _), Is.False);
    }

    [Test]
    public void The_index_is_what_the_hub_writes()
    {
        OutputLayout layout = OutputLayout.Plan(
            [new("b", Dtype.F32, [2]), new("a\"é😀\u007f", Dtype.U8, [3])], maxShardBytes: 8);
        Assert.That(Encoding.UTF8.GetString(layout.IndexJson!.Value.Span), Is.EqualTo(
            """
            {
              "metadata": {
                "total_size": 11
              },
              "weight_map": {
                "a\"\u00e9\ud83d\ude00\u007f": "model-00002-of-00002.safetensors",
                "b": "model-00001-of-00002.safetensors"
              }
            }

            """.ReplaceLineEndings("\n")));
        using JsonDocument parsed = JsonDocument.Parse(layout.IndexJson.Value);
        JsonProperty first = parsed.RootElement.GetProperty("weight_map").EnumerateObject().First();
        Assert.That(first.Name, Is.EqualTo("a\"é😀\u007f"));
    }

    [Test]
    public void Names_that_no_file_can_hold_are_refused()
    {
        Assert.Throws<ArgumentException>(() => OutputLayout.Plan([new("a", Dtype.U8, []), new("a", Dtype.U8, [])]));
        Assert.Throws<ArgumentException>(() => OutputLayout.Plan([new("__metadata__", Dtype.U8, [])]));
        Assert.That(() => OutputLayout.Plan([new("\ud800", Dtype.U8, [])]), Throws.InstanceOf<ArgumentException>());
        var metadata = new Dictionary<string, string> { ["a"] = "\udc00" };
        Assert.That(() => OutputLayout.Plan([], metadata), Throws.InstanceOf<ArgumentException>());
        Assert.Throws<ArgumentOutOfRangeException>(() => OutputLayout.Plan([new("a", Dtype.U8, [-1])]));
        Assert.Throws<ArgumentOutOfRangeException>(() => OutputLayout.Plan([], maxShardBytes: 0));
    }

    [TestCase(Dtype.F4, new long[] { 3 }, FormatError.MisalignedSlice)]
    [TestCase(Dtype.F6E2M3, new long[] { 2, 3 }, FormatError.MisalignedSlice)]
    [TestCase(Dtype.F32, new[] { long.MaxValue }, FormatError.ValidationOverflow)]
    [TestCase(Dtype.U8, new[] { 1L << 32, 1L << 32 }, FormatError.ValidationOverflow)]
    public void Tensors_that_no_file_can_hold_are_refused_by_the_rule(
        Dtype dtype, long[] shape, FormatError expected) =>
        Assert.That(
            Assert.Throws<SafetensorsException>(() => OutputLayout.Plan([new("a", dtype, shape)]))!.Code,
            Is.EqualTo(expected));

    [Test]
    public void A_header_that_no_reader_accepts_is_refused()
    {
        var metadata = new Dictionary<string, string> { ["a"] = new string('x', SafetensorsHeader.MaxLength) };
        var error = Assert.Throws<SafetensorsException>(() => OutputLayout.Plan([], metadata))!;
        Assert.That(error.Code, Is.EqualTo(FormatError.HeaderTooLarge));
    }

    private static string Header(TensorSpec[] specs, Dictionary<string, string>? metadata = null) =>
        Encoding.UTF8.GetString(OutputLayout.Plan(specs, metadata ?? NoMetadata).Shards[0].Header.Span);

    private static string[] Shards(TensorSpec[] specs, long maxShardBytes) =>
        [.. OutputLayout.Plan(specs, maxShardBytes: maxShardBytes).Shards
            .Select(shard => string.Join(' ', shard.Tensors.Select(t => t.Name)))];
}
