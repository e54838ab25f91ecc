using System.Text;

namespace FusionKernels.Safetensors.Tests;

/// <summary>A header at the limit of the format costs memory in proportion to itself.</summary>
[TestFixture]
[Category("large")]
public sealed class LargeHeaderTests
{
    [Test]
    public void A_header_of_99_megabytes_with_1_7_million_empty_tensors_is_read_in_less_than_600_megabytes()
    {
        using var folder = new TemporaryFolder();
        string path = folder["many.safetensors"];
        int count = 0;
        using (FileStream stream = File.Create(path))
        {
            stream.Position = 8;
            stream.Write("{"u8);
            while (stream.Position < 99_000_000)
            {
                string separator = count == 0 ? "" : ",";
                stream.Write(Encoding.ASCII.GetBytes(separator + RawFile.Tensor($"t{count++}", "F32", "[0]", 0, 0)));
            }

            stream.Write("}"u8);
            long length = stream.Position - 8;
            stream.Position = 0;
            stream.Write(BitConverter.GetBytes(length));
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(400_000_000));
        Assert.That(file.Header.Tensors, Has.Count.EqualTo(count));
        Assert.That(count, Is.GreaterThan(1_600_000));
    }

    [Test]
    public void An_attack_of_a_hundred_thousand_overlapping_tensors_is_refused()
    {
        string[] tensors = [.. Enumerable.Range(0, 100_000).Select(i => RawFile.Tensor($"t{i}", "U8", "[1]", 0, 1))];
        byte[] file = RawFile.Of(RawFile.Header(tensors), 1);
        Assert.That(RawFile.Refused(file).Code, Is.EqualTo(FormatError.InvalidOffset));
    }
}
