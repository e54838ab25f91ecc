using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FusionKernels.Tests;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Real files made by others: every row of the manifest, its bytes, its verdict and its types.</summary>
[TestFixture]
public sealed class CorpusTests
{
    internal static string Folder { get; } = Path.Combine(RepositoryRoot.Path, "tests", "corpus", "safetensors");

    // The verdicts are those of the reference's rules, except that repeated keys are named as what they are.
    private static IEnumerable<string[]> Rows => File.ReadLines(Path.Combine(Folder, "MANIFEST.md"))
        .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
        .Skip(1)
        .Select(line => line.Split('|', StringSplitOptions.TrimEntries));

    internal static IEnumerable<string> ValidFiles => Rows.Where(row => row[8] == "ok").Select(row => row[1]);

    [Test]
    public void The_manifest_lists_every_file()
    {
        IEnumerable<string> files = Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Folder, file).Replace('\\', '/'))
            .Where(file => file != "MANIFEST.md");
        Assert.That(Rows.Select(row => row[1]), Is.EquivalentTo(files));
    }

    [TestCaseSource(nameof(Rows))]
    public void A_file_has_the_bytes_and_the_verdict_of_its_row(params string[] row)
    {
        string path = Path.Combine(Folder, row[1]);
        byte[] bytes = File.ReadAllBytes(path);
        Assert.That(bytes, Has.Length.EqualTo(int.Parse(row[2])));
        Assert.That(Convert.ToHexStringLower(SHA256.HashData(bytes)), Does.StartWith(row[3]));
        switch (row[8])
        {
            case "ok":
                SafetensorsHeader header = SafetensorsHeader.Parse(bytes);
                string types = string.Join(
                    ' ', header.Tensors.Select(t => t.Dtype.WireName()).Distinct().Order(StringComparer.Ordinal));
                Assert.That(types, Is.EqualTo(row[9]));
                break;
            case "index":
                using (Checkpoint checkpoint = Checkpoint.Open(path)) Assert.That(checkpoint.Warnings, Is.Empty);
                break;
            default:
                var error = Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(path))!;
                Assert.That(error.Code.ToString(), Is.EqualTo(row[8]));
                break;
        }
    }

    [Test]
    public void The_duplicates_file_is_refused_by_the_name_of_the_key()
    {
        string path = Path.Combine(Folder, "BAD-duplicate_keys_in_header.safetensors");
        var error = Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(path))!;
        Assert.That(error.Code, Is.EqualTo(FormatError.DuplicateKey));
        Assert.That(error.TensorName, Is.EqualTo("key01").Or.EqualTo("key03"));
        Assert.That(error.Message, Does.Contain("BAD-duplicate").And.Contain(error.TensorName));
    }

    [Test]
    public void The_sharded_set_opens_by_folder_and_by_index_alike()
    {
        string folder = Path.Combine(Folder, "fluxml-sharded");
        using Checkpoint byFolder = Checkpoint.Open(folder);
        using Checkpoint byIndex = Checkpoint.Open(Path.Combine(folder, "model.safetensors.index.json"));
        Assert.That(byFolder.Tensors, Has.Count.EqualTo(36));
        Assert.That(byFolder.Shards, Has.Count.EqualTo(6));
        Assert.That(byFolder.Tensors.Sum(t => t.ByteLength), Is.EqualTo(4305));
        Assert.That(byFolder.Folder, Is.EqualTo(folder));
        Assert.That(byFolder.Metadata["format"], Is.EqualTo("pt"));
        Assert.That(byIndex.Tensors.Select(t => t.Name), Is.EqualTo(byFolder.Tensors.Select(t => t.Name)));
    }

    [Test]
    public void A_tensor_holds_the_counting_values_it_was_made_of()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Folder, "fluxml-model.numpy.safetensors"));
        Assert.That(checkpoint.TryGet("int32_357", out CheckpointTensor? tensor));
        Assert.That(tensor!.Shape.Order(), Is.EqualTo(new long[] { 3, 5, 7 }));
        byte[] bytes = new byte[tensor.ByteLength];
        tensor.Read(0, bytes);
        Assert.That(MemoryMarshal.Cast<byte, int>(bytes).ToArray(), Is.EqualTo(Enumerable.Range(0, 105).ToArray()));
    }

    [Test]
    public void Mapped_and_read_bytes_are_the_same_for_every_tensor([ValueSource(nameof(ValidFiles))] string file)
    {
        string path = Path.Combine(Folder, file);
        using SafetensorsFile mapped = SafetensorsFile.Open(path, new() { Access = SourceAccess.Map });
        using SafetensorsFile read = SafetensorsFile.Open(path, new() { Access = SourceAccess.Read });
        Assert.That(mapped.Source.IsMapped, Is.EqualTo(OperatingSystem.IsLinux()));
        Assert.That(read.Source.IsMapped, Is.False);
        byte[] whole = File.ReadAllBytes(path);
        foreach (TensorInfo tensor in read.Header.Tensors)
        {
            byte[] fromMap = new byte[tensor.ByteLength], fromRead = new byte[tensor.ByteLength];
            mapped.Read(tensor, 0, fromMap);
            read.Read(tensor, 0, fromRead);
            Assert.That(fromRead, Is.EqualTo(fromMap));
            long begin = read.Header.DataOffset + tensor.Begin;
            Assert.That(fromMap, Is.EqualTo(whole.AsSpan((int)begin, (int)tensor.ByteLength).ToArray()));
        }
    }

    /// <summary>Whatever a download left of a file is refused, by the rule that the cut breaks.</summary>
    [TestCase("kolanich-d.safetensors")]
    [TestCase("kolanich-overall.safetensors")]
    [TestCase("pybridge-tensors.safetensors")]
    [TestCase("fluxml-sharded/model-00002-of-00006.safetensors")]
    [TestCase("fluxml-model.with_metadata.safetensors")]
    public void Every_prefix_of_a_file_is_refused(string file)
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(Folder, file));
        long header = 8 + BitConverter.ToInt64(whole);
        for (int length = 0; length < whole.Length; length++)
        {
            var error = Assert.Throws<SafetensorsException>(() => SafetensorsHeader.Parse(whole.AsSpan(0, length)))!;
            FormatError expected = length == 0 ? FormatError.NotSafetensors
                : length < 8 ? FormatError.HeaderTooSmall
                : length < header ? FormatError.InvalidHeaderLength
                : FormatError.MetadataIncompleteBuffer;
            Assert.That(error.Code, Is.EqualTo(expected), $"prefix of {length} bytes");
        }
    }
}
