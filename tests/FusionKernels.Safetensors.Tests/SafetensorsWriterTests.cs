namespace FusionKernels.Safetensors.Tests;

/// <summary>Small files written in one call.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void What_is_written_is_read_back()
    {
        string path = folder["new/folder/x.safetensors"];
        var metadata = new Dictionary<string, string> { ["k"] = "v" };
        SafetensorsWriter.Write(path, [Bytes("b", 3), Bytes("a", 5), Bytes("empty", 0)], metadata);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.That(file.Header.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "a", "b", "empty" }));
        Assert.That(file.Metadata, Is.EqualTo(metadata));
        foreach (TensorInfo tensor in file.Header.Tensors)
        {
            byte[] data = new byte[tensor.ByteLength];
            file.Read(tensor, 0, data);
            Assert.That(data, Is.EqualTo(Bytes("", data.Length).Data.ToArray()));
        }
    }

    [Test]
    public void A_file_of_the_reference_is_reproduced_to_the_last_byte()
    {
        string original = Path.Combine(CorpusTests.Folder, "fluxml-model.with_metadata.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(original);
        (TensorSpec, ReadOnlyMemory<byte>)[] tensors = [.. file.Header.Tensors.Select(t =>
        {
            byte[] data = new byte[t.ByteLength];
            file.Read(t, 0, data);
            return (new TensorSpec(t.Name, t.Dtype, t.Shape), (ReadOnlyMemory<byte>)data);
        })];
        SafetensorsWriter.Write(folder["copy.safetensors"], tensors, file.Metadata);
        Assert.That(File.ReadAllBytes(folder["copy.safetensors"]), Is.EqualTo(File.ReadAllBytes(original)));
    }

    [Test]
    public void A_file_is_replaced_while_it_is_mapped_and_the_map_keeps_the_old_bytes()
    {
        string path = folder["x.safetensors"];
        SafetensorsWriter.Write(path, [Bytes("a", 100_000)]);
        using SafetensorsFile old = SafetensorsFile.Open(path);
        SafetensorsWriter.Write(path, [Bytes("b", 3)]);
        byte[] data = new byte[100_000];
        old.Read(old.Header.Tensors[0], 0, data);
        Assert.That(data, Is.EqualTo(Bytes("", data.Length).Data.ToArray()));
        using SafetensorsFile now = SafetensorsFile.Open(path);
        Assert.That(now.Header.Tensors.Single().Name, Is.EqualTo("b"));
        Assert.That(Directory.GetFiles(folder.Root), Has.Length.EqualTo(1));
    }

    [Test]
    public void Data_of_the_wrong_length_is_refused_before_anything_is_touched()
    {
        TensorSpec spec = new("a", Dtype.F32, [2]);
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(folder["x.safetensors"], [(spec, new byte[7])]));
        Assert.That(Directory.GetFiles(folder.Root), Is.Empty);
    }

    private static (TensorSpec Tensor, ReadOnlyMemory<byte> Data) Bytes(string name, int count) =>
        (new(name, Dtype.U8, [count]), Enumerable.Range(0, count).Select(i => (byte)(i * 7)).ToArray());
}
