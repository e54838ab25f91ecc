namespace FusionKernels.Kernels.Tests;

/// <summary>The Mersenne Twister against its published words and against itself taken in other steps.</summary>
public class Mt19937Tests
{
    [Test]
    public void Words_are_the_published_ones()
    {
        // The first outputs for the default seed, and the 10000th, which the C++ standard prescribes.
        var words = new uint[10_000];
        new Mt19937(5489).Fill(words);
        Assert.That(words[..3], Is.EqualTo(new[] { 3_499_211_612u, 581_869_302u, 3_890_346_734u }));
        Assert.That(words[^1], Is.EqualTo(4_123_659_995u));
    }

    [Test]
    public void Filling_in_pieces_of_any_length_continues_the_sequence()
    {
        var whole = new uint[5000];
        new Mt19937(1).Fill(whole);
        for (int piece = 1; piece < 1300; piece += 37)
        {
            var generator = new Mt19937(1);
            var words = new uint[whole.Length];
            for (int i = 0; i < words.Length; i += piece)
                generator.Fill(words.AsSpan(i, Math.Min(piece, words.Length - i)));
            Assert.That(words, Is.EqualTo(whole), $"pieces of {piece}");
        }
    }

    [Test]
    public void Skipping_is_filling_and_forgetting_and_a_copy_goes_its_own_way()
    {
        var whole = new uint[4000];
        new Mt19937(2).Fill(whole);
        foreach (int skipped in new[] { 0, 1, 623, 624, 625, 1247, 1248, 1249, 3999 })
        {
            var generator = new Mt19937(2);
            generator.Skip(skipped);
            var copy = generator.Copy();
            generator.Skip(1);
            var words = new uint[whole.Length - skipped];
            copy.Fill(words);
            Assert.That(words, Is.EqualTo(whole[skipped..]), $"{skipped} skipped");
        }
    }

    [TestCase(0.5f)]
    [TestCase(0.3f)]
    [TestCase(0f)]
    [TestCase(-1f)]
    [TestCase(0.99999994f)]
    public void Bernoulli_keeps_words_whose_low_24_bits_are_below_the_probability(float probability)
    {
        foreach (int count in new[] { 0, 1, 7, 8, 9, 623, 624, 625, 2000 })
        {
            var words = new uint[count];
            new Mt19937(3).Fill(words);
            var bits = new byte[(count + 7) / 8];
            new Mt19937(3).Bernoulli(probability, count, bits);
            for (int i = 0; i < 8 * bits.Length; i++)
            {
                bool kept = i < count && (words[i] & 0xFFFFFF) / 16777216.0 < probability;
                Assert.That(((bits[i / 8] >> (i % 8)) & 1) != 0, Is.EqualTo(kept), $"element {i} of {count}");
            }
        }
    }
}
