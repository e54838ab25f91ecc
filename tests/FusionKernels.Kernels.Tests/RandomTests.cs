namespace FusionKernels.Kernels.Tests;

/// <summary>The random kernels of every backend.</summary>
public class RandomTests
{
    private static readonly Philox Stream = new(1311768467463790320, 1234605616436508552);

    private static IEnumerable<IKernelStream> Streams =>
        Backends.WithReference.Select(Backends.Open);

    [Test]
    public void Words_begin_at_any_element([ValueSource(typeof(Backends), nameof(Backends.Names))] string backend)
    {
        using IKernelStream stream = Backends.Open(backend);
        foreach (long first in new[] { 0, 1, 2, 3, 1234567, (1L << 34) - 5 })
        {
            uint[] words = new uint[700];
            stream.Words(Stream, first, words);
            Assert.That(words, Is.EqualTo(Enumerable.Range(0, 700).Select(i => Stream.Word(first + i))));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Words(Stream, -1, []));
    }

    [Test]
    public void Normals_are_those_of_the_golden_reference()
    {
        double[] expected =
        [
            1.6095459746404832, 1.3202999672683067, 0.7560791260662223, 0.20160579151516075, -0.6792208521902005,
            -0.6914796660463259, -0.1451941287089673, 0.22959940471978835, -2.5228434239221675, 0.8317291956400544,
            0.5238940078527925, -1.1459559051233474, 0.1309017640811548,
        ];
        foreach (IKernelStream stream in Streams)
        {
            float[] normals = new float[expected.Length];
            stream.Normals(Stream, 0, normals);
            Assert.That(normals, Is.EqualTo(expected.Select(value => (float)value)));
        }
    }

    [Test]
    public void Normals_have_the_bits_of_the_reference_from_any_element_at_any_length()
    {
        using IKernelStream reference = Backends.Reference.OpenStream();
        foreach (IKernelStream stream in Streams)
        {
            foreach (int length in new[] { 0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 3001 })
            {
                for (long first = 0; first < 5; first++)
                {
                    float[] actual = new float[length], expected = new float[length];
                    stream.Normals(Stream, first, actual);
                    reference.Normals(Stream, first, expected);
                    Assert.That(actual, Is.EqualTo(expected), $"{first}, {length}");
                }
            }

            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Normals(Stream, -1, []));
        }
    }

    [Test]
    public void Many_normals_at_once_have_the_bits_of_single_pairs()
    {
        // Every 61st radius and angle, the ends of both, and what is computed again because it is next to zero.
        uint[] words = new uint[BoxMuller.MostWords];
        float[] normals = new float[words.Length];
        for (uint first = 0; first < 1 << 24; first += 61 * (uint)words.Length)
        {
            for (uint i = 0; i < words.Length; i += 2)
            {
                uint place = Math.Min(first + (61 * i), (1 << 24) - 1);
                words[i] = place << 8;
                words[i + 1] = (i % 4 == 0 ? place : (uint)((place * 2654435761L) & 0xFFFFFF)) << 8;
            }

            BoxMuller.Fill(words, normals);
            for (int i = 0; i < words.Length; i += 2)
            {
                var (even, odd) = BoxMuller.Pair(words[i], words[i + 1]);
                Assert.That((normals[i], normals[i + 1]), Is.EqualTo((even, odd)), $"{words[i]}, {words[i + 1]}");
            }
        }
    }

    [Test]
    public void Normals_have_mean_zero_variance_one_and_no_infinity()
    {
        using IKernelStream reference = Backends.Reference.OpenStream();
        float[] normals = new float[100_000];
        reference.Normals(Stream, 0, normals);
        Assert.That(normals, Has.All.Matches<float>(float.IsFinite));
        Assert.That(normals.Average(), Is.Zero.Within(0.015));
        Assert.That(normals.Average(v => v * v), Is.EqualTo(1).Within(0.02));
    }
}
