namespace FusionKernels.Kernels.Tests;

/// <summary>The generator against published and independently computed words.</summary>
public class PhiloxTests
{
    // kat_vectors of the authors' Random123 library: counter, key, words.
    [TestCase(new uint[] { 0, 0, 0, 0 }, new uint[] { 0, 0 },
        new uint[] { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 })]
    [TestCase(new uint[] { ~0u, ~0u, ~0u, ~0u }, new uint[] { ~0u, ~0u },
        new uint[] { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd })]
    [TestCase(new uint[] { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, new uint[] { 0xa4093822, 0x299f31d0 },
        new uint[] { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 })]
    public void Block_gives_the_published_known_answers(uint[] counter, uint[] key, uint[] words)
    {
        var stream = new Philox(key[0] | ((ulong)key[1] << 32), counter[2] | ((ulong)counter[3] << 32));
        var (w0, w1, w2, w3) = stream.Block(counter[0] | ((ulong)counter[1] << 32));
        Assert.That(new[] { w0, w1, w2, w3 }, Is.EqualTo(words));
    }

    [Test]
    public void Words_of_a_stream_are_those_of_the_golden_reference()
    {
        var stream = new Philox(1311768467463790320, 1234605616436508552);
        uint[] expected =
        [
            0x1d51dc2a, 0x1bfd9931, 0xbc7c94a7, 0x0a9dfcb7, 0xa00ab19a, 0xa05d4845, 0xf6b9e18d, 0x56f99311, 0x0783e0f9,
            0x73065c8f, 0x73bd2dcc, 0xd17888d0, 0xee90d1f0, 0xce8132ae, 0x12bb665b, 0x56e84329, 0x59140dd0, 0x35af4e60,
            0x5046d7a9, 0xf25cd7a2, 0x16694a19, 0xb89085c0, 0xe8b9655e, 0xbfcabba0, 0x3d1c94d5, 0xb6e8e2ff, 0xe93a65f9,
            0xde87d56d, 0x3e309d6a, 0x55727537, 0xf729e0d7, 0x16b16a16, 0x44131ecf, 0xeea86100, 0xa4cdc6c4, 0xb92ee111,
            0x4fa9847b,
        ];
        Assert.That(expected.Select((_, i) => stream.Word(i)), Is.EqualTo(expected));
    }

    [Test]
    public void The_stream_of_a_tensor_is_the_fnv_hash_of_name_nul_and_ordinal()
    {
        // FNV-1a by hand over 61 00 31 32, that is "a", NUL, "12".
        ulong hash = 0xcbf29ce484222325;
        foreach (byte b in new byte[] { 0x61, 0x00, 0x31, 0x32 })
            hash = unchecked((hash ^ b) * 0x100000001b3);
        Assert.That(Philox.ForTensor(9, "a", 12), Is.EqualTo(new Philox(9, hash)));
        Assert.That(Philox.ForTensor(9, "a", 1).Stream, Is.Not.EqualTo(hash));
    }
}
