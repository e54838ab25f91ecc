using System.Text;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Folders, indexes and shards that fit together, and all the ways in which they do not.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class CheckpointTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [TestCase("model.safetensors")]
    [TestCase("adapter_model.safetensors")]
    [TestCase("diffusion_pytorch_model.safetensors")]
    [TestCase("consolidated.00.safetensors")]
    public void A_folder_with_one_file_opens_as_that_file(string name)
    {
        folder.Write(name, RawFile.WithTensors("a", "b"));
        folder.Write("config.json", "{}"u8);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root);
        Assert.That(checkpoint.Shards.Single().Path, Is.EqualTo(folder[name]));
        Assert.That(checkpoint.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "a", "b" }));
        Assert.That(checkpoint.TryGet("c", out _), Is.False);
        Assert.That(checkpoint.Warnings, Is.Empty);
    }

    [TestCase("model")]
    [TestCase("diffusion_pytorch_model")]
    public void A_folder_with_an_index_opens_its_shards_by_name(string stem)
    {
        folder.Write("m-2.safetensors", RawFile.WithTensors("a"));
        folder.Write("m-1.safetensors", RawFile.WithTensors("b", "c"));
        WriteIndex("""{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-1.safetensors"}""", 24, stem);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root);
        Assert.That(checkpoint.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "b", "c", "a" }));
        Assert.That(checkpoint.Warnings, Is.Empty);
    }

    [Test]
    public void An_index_wins_over_a_single_file_with_a_warning()
    {
        folder.Write("model.safetensors", RawFile.WithTensors("old"));
        folder.Write("m-1.safetensors", RawFile.WithTensors("new"));
        WriteIndex("""{"new":"m-1.safetensors"}""", 8);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root);
        Assert.That(checkpoint.Tensors.Single().Name, Is.EqualTo("new"));
        Assert.That(checkpoint.Warnings.Single(), Does.Contain("model.safetensors"));
    }

    [Test]
    public void A_folder_without_a_clear_answer_is_unavailable()
    {
        Assert.That(
            Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder.Root))!.Message,
            Does.Contain("holds no safetensors file"));
        folder.Write("x.safetensors", RawFile.WithTensors("a"));
        folder.Write("y.safetensors", RawFile.WithTensors("a"));
        Assert.That(
            Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder.Root))!.Message,
            Does.Contain("2 safetensors files"));
    }

    [Test]
    public void A_checkpoint_that_is_not_there_is_unavailable()
    {
        Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder["nowhere"]));
        Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder["nowhere.index.json"]));
        Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder["nowhere/model.safetensors"]));
    }

    [TestCase("")]
    [TestCase("[]")]
    [TestCase("{}")]
    [TestCase("{\"weight_map\":{}}")]
    [TestCase("{\"weight_map\":[]}")]
    [TestCase("{\"weight_map\":null}")]
    [TestCase("{\"weight_map\":{\"a\":1}}")]
    [TestCase("{\"weight_map\":{\"a\":null}}")]
    [TestCase("{\"weight_map\":{\"a\":{\"b\":\"m.safetensors\"}}}")]
    [TestCase("{\"weight_map\":{\"\\ud800\":\"m.safetensors\"}}")]
    [TestCase("{\"x\\ud800\":1,\"weight_map\":{\"a\":\"m.safetensors\"}}")]
    [TestCase("{\"metadata\":[],\"weight_map\":{\"a\":\"m.safetensors\"}}")]
    [TestCase("{\"weight_map\":{\"a\":\"m.safetensors\"}} {}")]
    [TestCase("{\"weight_map\":{\"a\":\"m.safetensors\"}")]
    [TestCase("{\"weight_map\":{\"a\":\"m.safetensors\",}}")]
    public void A_malformed_index_is_refused(string index) =>
        Assert.That(RefusedIndex(index).Code, Is.EqualTo(FormatError.InvalidIndex));

    [Test]
    public void An_index_that_is_not_utf8_is_refused()
    {
        string path = folder.Write("model.safetensors.index.json", [(byte)'{', 0xff, (byte)'}']);
        var error = Assert.Throws<SafetensorsException>(() => Checkpoint.Open(path))!;
        Assert.That(error.Code, Is.EqualTo(FormatError.InvalidIndex));
    }

    [TestCase("{\"weight_map\":{\"a\":\"m.safetensors\",\"\\u0061\":\"m.safetensors\"}}")]
    [TestCase("{\"weight_map\":{\"a\":\"m.safetensors\"},\"weight_map\":{\"a\":\"m.safetensors\"}}")]
    [TestCase("{\"metadata\":{},\"weight_map\":{\"a\":\"m.safetensors\"},\"met\\u0061data\":{}}")]
    public void A_key_that_occurs_twice_in_an_index_is_refused(string index) =>
        Assert.That(RefusedIndex(index).Code, Is.EqualTo(FormatError.DuplicateKey));

    [TestCase("../x.safetensors")]
    [TestCase("/etc/x.safetensors")]
    [TestCase("sub/x.safetensors")]
    [TestCase("./x.safetensors")]
    [TestCase("a\\\\b.safetensors")]
    [TestCase("C:x.safetensors")]
    [TestCase("//srv/x.safetensors")]
    [TestCase("http://host/x.safetensors")]
    [TestCase("file:x.safetensors")]
    [TestCase("x\\u0000.safetensors")]
    [TestCase("x\\n.safetensors")]
    [TestCase("x\\u007f.safetensors")]
    [TestCase("x\\u0085.safetensors")]
    [TestCase("")]
    [TestCase(".")]
    [TestCase("..")]
    [TestCase(".safetensors")]
    [TestCase("x.bin")]
    [TestCase("x.safetensors.bak")]
    [TestCase("x.SAFETENSORS")]
    public void An_index_names_shards_by_plain_file_names_only(string shard)
    {
        SafetensorsException error = RefusedIndex($"{{\"weight_map\":{{\"a\":\"{shard}\"}}}}");
        Assert.That((error.Code, error.TensorName), Is.EqualTo((FormatError.UnsafeShardName, "a")));
    }

    [Test]
    public void A_missing_shard_is_named()
    {
        SafetensorsException error = RefusedIndex("""{"weight_map":{"a":"gone.safetensors"}}""");
        Assert.That(error.Code, Is.EqualTo(FormatError.MissingShard));
        Assert.That(error.Message, Does.Contain("gone.safetensors"));
    }

    [TestCase("""{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}""",
        FormatError.TensorNotInShard, "c")]
    [TestCase("""{"a":"m-2.safetensors","b":"m-1.safetensors"}""", FormatError.TensorNotInShard, "a")]
    [TestCase("""{"b":"m-2.safetensors","x":"m-1.safetensors"}""", FormatError.TensorNotInShard, "x")]
    [TestCase("""{"b":"m-2.safetensors","a":"m-1.safetensors","d":"m-3.safetensors"}""",
        FormatError.TensorNotInIndex, "e")]
    public void An_index_and_its_shards_agree_on_every_tensor(string weightMap, FormatError expected, string tensor)
    {
        folder.Write("m-1.safetensors", RawFile.WithTensors("a"));
        folder.Write("m-2.safetensors", RawFile.WithTensors("b"));
        folder.Write("m-3.safetensors", RawFile.WithTensors("d", "e"));
        SafetensorsException error = RefusedIndex($"{{\"weight_map\":{weightMap}}}");
        Assert.That((error.Code, error.TensorName), Is.EqualTo((expected, tensor)));
    }

    [Test]
    public void A_tensor_in_two_shards_is_refused()
    {
        folder.Write("m-1.safetensors", RawFile.WithTensors("a", "b"));
        folder.Write("m-2.safetensors", RawFile.WithTensors("b"));
        SafetensorsException error = RefusedIndex("""{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}""");
        Assert.That((error.Code, error.TensorName), Is.EqualTo((FormatError.DuplicateTensor, "b")));
    }

    [Test]
    public void A_malformed_shard_is_refused_by_its_own_name()
    {
        folder.Write("m-1.safetensors", RawFile.WithTensors("a"));
        folder.Write("m-2.safetensors", "version https://git-lfs.github.com/spec/v1"u8);
        SafetensorsException error = RefusedIndex("""{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}""");
        Assert.That((error.Code, error.Path), Is.EqualTo((FormatError.NotSafetensors, folder["m-2.safetensors"])));
    }

    [TestCase("8", 0)]
    [TestCase("9", 1)]
    [TestCase("8.0", 1)]
    [TestCase("8e0", 1)]
    [TestCase("-8", 1)]
    [TestCase("true", 1)]
    [TestCase("null", 1)]
    [TestCase("\"8\"", 1)]
    [TestCase("{\"x\":8}", 1)]
    [TestCase("99999999999999999999", 1)]
    public void A_wrong_total_size_is_a_warning_only(string totalSize, int warnings)
    {
        folder.Write("m.safetensors", RawFile.WithTensors("a"));
        string index = """{"metadata":{"n":[1],"total_size":?},"weight_map":{"a":"m.safetensors"}}"""
            .Replace("?", totalSize, StringComparison.Ordinal);
        folder.Write("model.safetensors.index.json", Encoding.UTF8.GetBytes(index));
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root);
        Assert.That(checkpoint.Warnings, Has.Count.EqualTo(warnings));
    }

    [Test]
    public void Three_hundred_shards_open_and_hold_no_descriptor([Values] SourceAccess access)
    {
        const int Count = 300;
        var map = new StringBuilder("{");
        for (int i = 0; i < Count; i++)
        {
            folder.Write($"m-{i:D3}.safetensors", RawFile.WithTensors($"t{i}"));
            map.Append(i == 0 ? "" : ",").Append($"\"t{i}\":\"m-{i:D3}.safetensors\"");
        }

        WriteIndex(map.Append('}').ToString(), 8 * Count);
        int before = OpenDescriptors();
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root, new() { Access = access });
        byte[] bytes = new byte[8];
        for (int round = 0; round < 2; round++)
        {
            foreach (CheckpointTensor tensor in checkpoint.Tensors)
            {
                tensor.Read(0, bytes);
                Assert.That(bytes, Is.EqualTo(new byte[] { 0, 1, 2, 3, 4, 5, 6, 7 }));
            }
        }

        Assert.That(OpenDescriptors() - before, Is.LessThanOrEqualTo(DescriptorCache.Capacity + 8));
        checkpoint.Dispose();
        Assert.That(OpenDescriptors() - before, Is.LessThanOrEqualTo(8));
    }

    [Test]
    [Platform("Linux,MacOsX")]
    public void A_snapshot_of_links_into_a_blob_folder_opens_as_the_hub_cache_makes_it()
    {
        string snapshot = Directory.CreateDirectory(folder["snapshots/abc"]).FullName;
        Directory.CreateDirectory(folder["blobs"]);
        folder.Write("blobs/1", RawFile.WithTensors("a"));
        folder.Write("blobs/2", """{"weight_map":{"a":"m-1.safetensors"}}"""u8);
        File.CreateSymbolicLink(Path.Combine(snapshot, "m-1.safetensors"), "../../blobs/1");
        File.CreateSymbolicLink(Path.Combine(snapshot, "model.safetensors.index.json"), "../../blobs/2");
        using Checkpoint checkpoint = Checkpoint.Open(snapshot);
        Assert.That(checkpoint.Tensors.Single().Name, Is.EqualTo("a"));
        checkpoint.Shards[0].Source.CheckUnchanged();
        Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(snapshot, new() { NoFollow = true }));
    }

    [Test]
    public void Reading_stays_inside_the_tensor()
    {
        folder.Write("model.safetensors", RawFile.WithTensors("a", "b"));
        using Checkpoint checkpoint = Checkpoint.Open(folder.Root);
        CheckpointTensor tensor = checkpoint.Tensors[0];
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Read(0, new byte[9]));
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Read(5, new byte[4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Read(-1, new byte[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Read(long.MaxValue, new byte[1]));
        tensor.Read(8, []);
        byte[] middle = new byte[3];
        tensor.Read(2, middle);
        Assert.That(middle, Is.EqualTo(new byte[] { 2, 3, 4 }));
    }

    private static int OpenDescriptors() =>
        OperatingSystem.IsLinux() ? Directory.GetFileSystemEntries("/proc/self/fd").Length : 0;

    private void WriteIndex(string weightMap, long totalSize, string stem = "model") => folder.Write(
        stem + ".safetensors.index.json",
        Encoding.UTF8.GetBytes($"{{\"metadata\":{{\"total_size\":{totalSize}}},\"weight_map\":{weightMap}}}"));

    private SafetensorsException RefusedIndex(string index)
    {
        string path = folder.Write("model.safetensors.index.json", Encoding.UTF8.GetBytes(index));
        return Assert.Throws<SafetensorsException>(() => Checkpoint.Open(path))!;
    }
}
