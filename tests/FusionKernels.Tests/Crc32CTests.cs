using System.Text;
using FusionKernels.Execution;

namespace FusionKernels.Tests;

public class Crc32CTests
{
    [TestCase("", 0u)]
    [TestCase("123456789", 0xE3069283u)]
    public void The_published_check_values_hold(string text, uint expected) =>
        Assert.That(Crc32C.Of(Encoding.ASCII.GetBytes(text)), Is.EqualTo(expected));

    [Test]
    public void Any_division_into_pieces_joins_to_the_checksum_of_the_whole([Values(1, 7, 3071, 3072, 3100, 100_003)] int length)
    {
        var random = new Random(length);
        var bytes = new byte[length];
        random.NextBytes(bytes);
        uint simple = ~0u;
        foreach (byte b in bytes)
        {
            simple ^= b;
            for (int bit = 0; bit < 8; bit++)
                simple = (simple & 1) != 0 ? (simple >> 1) ^ 0x82F63B78 : simple >> 1;
        }

        Assert.That(Crc32C.Of(bytes), Is.EqualTo(~simple));
        for (int trial = 0; trial < 20; trial++)
        {
            int cut = random.Next(length + 1);
            Assert.That(Crc32C.Join(Crc32C.Of(bytes.AsSpan(0, cut)), Crc32C.Of(bytes.AsSpan(cut)), length - cut), Is.EqualTo(~simple));
        }
    }

    [Test]
    public void A_range_that_a_file_does_not_reach_has_another_checksum()
    {
        byte[] file = [1, 2, 3, 4];
        int Read(long offset, Span<byte> to)
        {
            var rest = file.AsSpan((int)offset);
            int count = Math.Min(rest.Length, to.Length);
            rest[..count].CopyTo(to);
            return count;
        }

        Assert.That(Crc32C.OfRange(Read, 1, 3), Is.EqualTo(Crc32C.Of([2, 3, 4])));
        Assert.That(Crc32C.OfRange(Read, 1, 4), Is.Not.EqualTo(Crc32C.Of([2, 3, 4])));
    }
}
