using System.Text;
using FusionKernels.Tests;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Files of torch.save: a real one, and all the ways in which one can be wrong or hostile.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class PickleFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Models => Path.Combine(RepositoryRoot.Path, "tests", "golden", "mergekit-recipes", "models");

    private static byte[] RealFile => File.ReadAllBytes(Path.Combine(Models, "f1_bin", "pytorch_model.bin"));

    public void Dispose() => folder.Dispose();

    [Test]
    public void A_real_file_holds_the_same_tensors_as_its_safetensors_twin([Values] SourceAccess access)
    {
        var options = new SafetensorsOptions { Access = access };
        using Checkpoint pickled = Checkpoint.Open(Path.Combine(Models, "f1_bin"), options);
        using Checkpoint stored = Checkpoint.Open(Path.Combine(Models, "f1"), options);
        Assert.That(pickled.Tensors.Select(t => t.Name), Is.EquivalentTo(stored.Tensors.Select(t => t.Name)));
        foreach (CheckpointTensor expected in stored.Tensors)
        {
            Assert.That(pickled.TryGet(expected.Name, out CheckpointTensor? tensor));
            Assert.That((tensor!.Dtype, tensor.Shape), Is.EqualTo((expected.Dtype, expected.Shape)));
            Assert.That(Bytes(tensor), Is.EqualTo(Bytes(expected)), expected.Name);
        }
    }

    [Test]
    public void Numbers_of_four_gigabytes_and_more_are_read_from_their_wide_fields()
    {
        using Checkpoint checkpoint = Open(TorchFile.WithTensors("a", "b").ToArray(wide: true));
        Assert.That(checkpoint.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "a", "b" }));
        Assert.That(Bytes(checkpoint.Tensors[1]), Is.EqualTo(new byte[] { 0, 1, 2, 3, 4, 5, 6, 7 }));
    }

    [Test]
    public void Tied_tensors_and_views_share_bytes()
    {
        TorchFile file = new TorchFile().Op("}(")
            .Text("whole").Tensor("ShortStorage", "s", 4, 0, [2, 2], [2, 1])
            .Text("tied").Tensor("ShortStorage", "s", 4, 0, [2, 2], [2, 1])
            .Text("row").Tensor("ShortStorage", "s", 4, 2, [1, 2], [7, 1])
            .Text("scalar").Tensor("ShortStorage", "s", 4, 3, [], [])
            .Text("empty").Tensor("ShortStorage", "s", 4, 4, [0, 5], [9, 9])
            .Op("u.").Storage("s", 0, 1, 2, 3, 4, 5, 6, 7);
        using Checkpoint checkpoint = Open(file.ToArray());
        var bytes = checkpoint.Tensors.ToDictionary(t => t.Name, Bytes);
        Assert.That(bytes["whole"], Is.EqualTo(new byte[] { 0, 1, 2, 3, 4, 5, 6, 7 }));
        Assert.That(bytes["tied"], Is.EqualTo(bytes["whole"]));
        Assert.That(bytes["row"], Is.EqualTo(new byte[] { 4, 5, 6, 7 }));
        Assert.That(bytes["scalar"], Is.EqualTo(new byte[] { 6, 7 }));
        Assert.That(bytes["empty"], Is.Empty);
    }

    [Test]
    public void A_parameter_is_its_tensor_and_types_without_a_storage_class_are_read()
    {
        TorchFile file = new TorchFile().Op("}(")
            .Text("p").Global("torch._utils", "_rebuild_parameter").Op("(")
            .Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op("\x88").Global("collections", "OrderedDict").Op(")RtR")
            .Text("q").Global("torch._utils", "_rebuild_tensor_v3").Op("((").Text("storage")
            .Global("torch.storage", "UntypedStorage").Text("1").Text("cpu").Number(2).Op("tQ").Number(1)
            .Op("(").Number(1).Op("t(").Number(1).Op("t\x89").Global("collections", "OrderedDict").Op(")R")
            .Global("torch", "float8_e4m3fn").Op("tRu.").Storage("0", 1, 2, 3, 4).Storage("1", 5, 6);
        using Checkpoint checkpoint = Open(file.ToArray());
        Assert.That(
            checkpoint.Tensors.Select(t => (t.Name, t.Dtype)),
            Is.EqualTo(new[] { ("p", Dtype.F32), ("q", Dtype.F8E4M3) }));
        Assert.That(Bytes(checkpoint.Tensors[1]), Is.EqualTo(new byte[] { 6 }));
    }

    [Test]
    public void The_state_dict_of_a_training_checkpoint_is_found_and_its_numbers_are_left_out()
    {
        TorchFile file = new TorchFile().Op("}(")
            .Text("epoch").Number(3).Text("optimizer").Op("]").Text("hyper").Op("}")
            .Text("state_dict").Global("collections", "OrderedDict").Op(")R(")
            .Text("w").Tensor("ByteStorage", "0", 1, 0, [1], [1]).Text("version").Number(2).Text("note").Op("N")
            .Op("u}(").Text("_metadata").Op("}ubu.").Storage("0", 9);
        using Checkpoint checkpoint = Open(file.ToArray());
        Assert.That(checkpoint.Tensors.Single().Name, Is.EqualTo("w"));
    }

    [Test]
    public void Shards_are_found_by_their_index_and_safetensors_are_preferred()
    {
        folder.Write("pytorch_model-00001-of-00002.bin", TorchFile.WithTensors("a").ToArray());
        folder.Write("pytorch_model-00002-of-00002.bin", TorchFile.WithTensors("b").ToArray());
        folder.Write("pytorch_model.bin.index.json", """
            {"metadata":{"total_size":16},"weight_map":
            {"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}
            """u8);
        using (Checkpoint checkpoint = Checkpoint.Open(folder.Root))
        {
            Assert.That(checkpoint.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "a", "b" }));
            Assert.That(checkpoint.Warnings, Is.Empty);
        }

        folder.Write("model.safetensors", RawFile.WithTensors("c"));
        using Checkpoint preferred = Checkpoint.Open(folder.Root);
        Assert.That(preferred.Tensors.Single().Name, Is.EqualTo("c"));
    }

    [TestCase("model.safetensors.index.json", "x.bin")]
    [TestCase("pytorch_model.bin.index.json", "x.safetensors")]
    [TestCase("pytorch_model.bin.index.json", "../x.bin")]
    public void An_index_names_files_of_its_own_kind(string index, string shard)
    {
        string path = folder.Write(index, Encoding.UTF8.GetBytes($"{{\"weight_map\":{{\"a\":\"{shard}\"}}}}"));
        var error = Assert.Throws<SafetensorsException>(() => Checkpoint.Open(path))!;
        Assert.That((error.Code, error.TensorName), Is.EqualTo((FormatError.UnsafeShardName, "a")));
    }

    [TestCase("posix", "system")]
    [TestCase("builtins", "eval")]
    [TestCase("torch.storage", "_load_from_bytes")]
    [TestCase("torch._utils", "_rebuild_sparse_tensor")]
    [TestCase("collections", "OrderedDict.clear")]
    [TestCase("torch", "FloatStorage ")]
    public void A_global_that_is_no_part_of_a_tensor_is_refused_by_name(string module, string name)
    {
        SafetensorsException error = Refused(new TorchFile().Global(module, name).Op("(").Text("true").Op("tR."));
        Assert.That(error.Code, Is.EqualTo(FormatError.ForbiddenGlobal));
        Assert.That(error.Message, Does.Contain($"{module}.{name}").And.Contain("x.bin"));
    }

    [Test]
    public void A_global_by_way_of_the_stack_is_refused_too()
    {
        SafetensorsException error = Refused(new TorchFile().Text("posix").Text("system").Op("\x93."));
        Assert.That(error.Code, Is.EqualTo(FormatError.ForbiddenGlobal));
    }

    [TestCase("", "within an instruction")]
    [TestCase(".", "does not end with one value")]
    [TestCase("NN.", "does not end with one value")]
    [TestCase("(N.", "does not end with one value")]
    [TestCase("t.", "mark that is not there")]
    [TestCase("\x85.", "value that is not there")]
    [TestCase("N(\x85.", "value that is not there")]
    [TestCase("R.", "value that is not there")]
    [TestCase("NNR.", "calls a value")]
    [TestCase("NQ.", "something other than a storage")]
    [TestCase(")Q.", "something other than a storage")]
    [TestCase("NNa.", "something other than a list")]
    [TestCase("NNNs.", "something other than a dict")]
    [TestCase("}(Nu.", "a key without a value")]
    [TestCase("NNb.", "attributes")]
    [TestCase("h\x05.", "recalls value 5")]
    [TestCase("q\0.", "not there")]
    [TestCase("\x80\x01.", "protocol")]
    [TestCase("ctorch\n.", "within a name")]
    [TestCase("X\xff\xff\xff\xff.", "within an instruction")]
    [TestCase("X\x01\0\0\0\xff.", "not UTF-8")]
    [TestCase("\x8a\x09\0\0\0\0\0\0\0\0\0.", "more than 64 bits")]
    [TestCase("i", "0x69")]
    [TestCase("o", "0x6F")]
    [TestCase("\x81", "0x81")]
    [TestCase("\x82", "0x82")]
    [TestCase("P", "0x50")]
    [TestCase("ccollections\nOrderedDict\n(NtR.", "other arguments")]
    [TestCase("ctorch._utils\n_rebuild_tensor_v2\n)R.", "other arguments")]
    [TestCase("N.", "something other than a dict")]
    [TestCase("].", "something other than a dict")]
    [TestCase("}.", "no tensor")]
    [TestCase("}(NNu.", "no tensor")]
    [TestCase("}(K\x01)u.", "no text")]
    [TestCase("}(U\u0001a)u.", "'a', which is no tensor")]
    public void A_damaged_pickle_is_refused(string instructions, string message)
    {
        SafetensorsException error = Refused(new TorchFile().Op(instructions));
        Assert.That(error.Code, Is.EqualTo(FormatError.InvalidPickle));
        Assert.That(error.Message, Does.Contain(message));
    }

    [TestCase(4, 0, new long[] { 2, 2 }, new long[] { 1, 2 }, FormatError.NotContiguous, ".contiguous()")]
    [TestCase(4, 0, new long[] { 2 }, new long[] { 2 }, FormatError.NotContiguous, ".contiguous()")]
    [TestCase(4, 0, new long[] { 2 }, new long[] { 0 }, FormatError.NotContiguous, ".contiguous()")]
    [TestCase(4, 0, new long[] { 2 }, new long[] { }, FormatError.NotContiguous, ".contiguous()")]
    [TestCase(4, 1, new long[] { 4 }, new long[] { 1 }, FormatError.TensorInvalidInfo, "beyond its storage")]
    [TestCase(4, 5, new long[] { }, new long[] { }, FormatError.TensorInvalidInfo, "beyond its storage")]
    [TestCase(4, -1, new long[] { 1 }, new long[] { 1 }, FormatError.TensorInvalidInfo, "beyond its storage")]
    [TestCase(4, long.MaxValue, new[] { 1L }, new[] { 1L }, FormatError.TensorInvalidInfo, "beyond its storage")]
    [TestCase(3, 0, new long[] { 1 }, new long[] { 1 }, FormatError.TensorInvalidInfo, "not 3 elements")]
    [TestCase(4, 0, new[] { 1L << 62, 4 }, new long[] { 4, 1 }, FormatError.ValidationOverflow, "64 bits")]
    [TestCase(4, 0, new[] { 1L << 58 }, new long[] { 1 }, FormatError.TensorInvalidInfo, "beyond its storage")]
    public void A_tensor_that_does_not_lie_in_its_storage_is_refused(
        long count, long offset, long[] shape, long[] strides, FormatError code, string message)
    {
        TorchFile file = new TorchFile().Op("}(").Text("w").Tensor("HalfStorage", "0", count, offset, shape, strides);
        SafetensorsException error = Refused(file.Op("u.").Storage("0", 1, 2, 3, 4, 5, 6, 7, 8));
        Assert.That((error.Code, error.TensorName), Is.EqualTo((code, "w")));
        Assert.That(error.Message, Does.Contain(message));
    }

    [Test]
    public void A_missing_storage_a_name_that_occurs_twice_and_a_negative_shape_are_refused()
    {
        TorchFile missing = new TorchFile().Op("}(").Text("w").Tensor("ByteStorage", "../0", 1, 0, [1], [1]).Op("u.");
        Assert.That(Refused(missing.Storage("0", 1)).Code, Is.EqualTo(FormatError.TensorInvalidInfo));
        Assert.That(Refused(TorchFile.WithTensors("a", "a")).Code, Is.EqualTo(FormatError.DuplicateKey));
        TorchFile negative = new TorchFile().Op("}(").Text("w").Tensor("ByteStorage", "0", 1, 0, [-1], [1]).Op("u.");
        Assert.That(Refused(negative.Storage("0", 1)).Code, Is.EqualTo(FormatError.InvalidPickle));
    }

    [Test]
    public void A_negated_view_is_refused()
    {
        TorchFile file = new TorchFile().Op("}(").Text("w").Global("torch._utils", "_rebuild_tensor_v2").Op("((")
            .Text("storage").Global("torch", "ByteStorage").Text("0").Text("cpu").Number(1).Op("tQ").Number(0)
            .Op("(").Number(1).Op("t(").Number(1).Op("t\x89}}").Text("neg").Op("\x88stRu.").Storage("0", 1);
        Assert.That(Refused(file).Message, Does.Contain("negated"));
    }

    [Test]
    public void Another_archive_than_that_of_torch_is_refused()
    {
        byte[] right = TorchFile.WithTensors("a").ToArray();
        Assert.That(Refused(TorchFile.WithTensors("a").ToArray(method: 8)).Message, Does.Contain("compressed"));
        TorchFile bigEndian = TorchFile.WithTensors("a").Entry("byteorder", "big"u8.ToArray());
        Assert.That(Refused(bigEndian).Message, Does.Contain("little endian"));
        Assert.That(Refused(TorchFile.WithTensors("a").Entry("data/0")).Message, Does.Contain("occurs twice"));
        Assert.That(Refused([]).Message, Does.Contain("empty file"));
        Assert.That(Refused([.. right, 0]).Message, Does.Contain("cut off"));
        Assert.That(Refused([0x80, 2, 0x8A, 10]).Message, Does.Contain("before PyTorch 1.6").And.Contain("save_file"));
        Assert.That(Refused(RawFile.WithTensors("a")).Message, Does.Contain("no zip archive"));
        Assert.That(Refused("version https://git-lfs"u8.ToArray()).Message, Does.Contain("Git LFS"));
        Open(TorchFile.WithTensors("a").Entry("byteorder", "little"u8.ToArray()).ToArray()).Dispose();
    }

    [Test]
    public void Every_truncation_has_a_verdict()
    {
        byte[] file = RealFile;
        for (int length = 0; length < file.Length; length++)
        {
            SafetensorsException error = Refused(file[..length]);
            Assert.That(error.Code, Is.EqualTo(FormatError.InvalidArchive), $"{length} bytes");
        }
    }

    [Test]
    public void Every_flipped_byte_has_a_verdict()
    {
        byte[] file = RealFile;
        var random = new Random(11);
        int accepted = 0, refused = 0;
        for (int at = 0; at < file.Length; at++)
        {
            byte right = file[at];
            file[at] ^= (byte)random.Next(1, 256);
            if (HasVerdict(file)) accepted++;
            else refused++;
            file[at] = right;
        }

        Assert.That(accepted, Is.GreaterThan(1000), "flips in tensor bytes and padding");
        Assert.That(refused, Is.GreaterThan(1000), "flips in the pickle and the directory");
    }

    [Test]
    public void Every_spliced_pickle_has_a_verdict([Range(1, 3)] int seed)
    {
        byte[] file = RealFile;
        (int begin, int length) = (64, 2971);
        byte[] pickle = file[begin..(begin + length)];
        var random = new Random(seed);
        for (int round = 0; round < 3000; round++)
        {
            byte[] mutated = [.. pickle];
            for (int i = random.Next(4); i >= 0; i--)
            {
                int from = random.Next(length), to = random.Next(length);
                int run = random.Next(Math.Min(40, length - Math.Max(from, to)));
                pickle.AsSpan(from, run).CopyTo(mutated.AsSpan(to));
            }

            mutated.CopyTo(file, begin);
            HasVerdict(file);
        }
    }

    [TestCase("}", "values")]
    [TestCase("(", "values")]
    [TestCase("]", "values")]
    [TestCase("q\0", "values")]
    [TestCase("\x94", "values")]
    [TestCase("N\x85", "values")]
    public void A_pickle_that_only_makes_values_is_refused_before_it_fills_the_memory(string instructions, string message)
    {
        TorchFile file = new TorchFile().Op("}" + string.Concat(Enumerable.Repeat(instructions, 3_000_000)));
        byte[] bytes = file.ToArray();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(Refused(bytes).Message, Does.Contain(message));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(300_000_000));
    }

    [Test]
    public void A_list_that_holds_itself_and_deep_nesting_cost_no_stack()
    {
        Assert.That(Refused(new TorchFile().Op("]q\0h\0a.")).Message, Does.Contain("other than a dict"));
        string nested = string.Concat(Enumerable.Repeat("\x85", 500_000));
        Assert.That(Refused(new TorchFile().Op("N" + nested + ".")).Message, Does.Contain("other than a dict"));
    }

    // True if the bytes were accepted; then every tensor lies in the file.
    private bool HasVerdict(byte[] file)
    {
        try
        {
            using PickleFile opened = PickleFile.Open(folder.Write("x.bin", file), new() { Access = SourceAccess.Read });
            foreach (TensorInfo tensor in opened.Tensors) opened.Read(tensor, 0, new byte[tensor.ByteLength]);
            return true;
        }
        catch (SafetensorsException error)
        {
            Assert.That(error.Message.Any(char.IsControl), Is.False);
            return false;
        }
    }

    private static byte[] Bytes(CheckpointTensor tensor)
    {
        byte[] bytes = new byte[tensor.ByteLength];
        tensor.Read(0, bytes);
        return bytes;
    }

    private Checkpoint Open(byte[] file) => Checkpoint.Open(folder.Write("x.bin", file));

    private SafetensorsException Refused(TorchFile file) => Refused(file.ToArray());

    private SafetensorsException Refused(byte[] file)
    {
        string path = folder.Write("x.bin", file);
        var error = Assert.Throws<SafetensorsException>(() => Checkpoint.Open(path))!;
        Assert.That(error.Path, Is.EqualTo(path));
        return error;
    }
}
