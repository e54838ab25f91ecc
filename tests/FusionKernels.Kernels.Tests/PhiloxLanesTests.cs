using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// The vector forms of the generator against <see cref="Philox.Word"/>, for every number of lanes this machine has.
/// </summary>
public unsafe class PhiloxLanesTests
{
    private static readonly Philox Stream = new(0xFEDC_BA98_7654_3210, 0x8000_0001_FFFF_FFFF);

    // The last three straddle the carry into the counter's second word (block 2^32 is element 2^34), within one
    // register.
    private static readonly long[] Firsts = [0, 8, 4096, (1L << 34) - 8, (1L << 34) - 64, (1L << 34) - 2048];

    [Test]
    public void Keep_bits_equal_the_scalar_draws_at_every_length_and_carry([ValueSource(nameof(Firsts))] long first) =>
        ForEachLaneCount(new KeepBits(first));

    [Test]
    public void Words_equal_the_scalar_words_at_every_length_and_offset([ValueSource(nameof(Firsts))] long first) =>
        ForEachLaneCount(new Words(first));

    [TestCase(0u)]
    [TestCase(1u)]
    [TestCase(0xE66667u)]
    [TestCase(0xFF_FFFFu)]
    [TestCase(1u << 24)]
    public void Keep_bits_honour_every_probability_exactly(uint dropBelow) => ForEachLaneCount(new Bound(dropBelow));

    [TestCase(0.5, 0x800000u, "52da29300ceb5617cd35b5c8f0a5875a27118973d4ffcd5389d23fbf431a69738906f929acbda2d9887d1f"
        + "654d9bfe892415d3daf4606f54dd5aff112a8446d6f46ab976120201")]
    [TestCase(0.9, 0xE66667u, "00822000000100010410110000000000060000400040080008000c00021021100000d00800840000002000"
        + "600808008020040300a040041000100000000040c260400010100000")]
    [TestCase(0.25, 0x400000u, "7ffeed369fef57bffdb7b7cdf3afcfdfeff1a9f3fcffedd3ebf6ffff671bfdf7abaef9ffadbfa6fffe7fbf"
        + "7d6f9bfe8ff635ffdef6ee7f5dfdfbff1dfeac66defc6bfffef24e01")]
    public void Keep_bits_are_those_of_the_golden_dare_masks(double p, uint dropBelow, string hex)
    {
        byte[] expected = Convert.FromHexString(hex);
        byte[] actual = new byte[71];
        Mask mask = Mask.Dropping(new Philox(42, 7), p);
        Assert.That(mask.DropBelow, Is.EqualTo(dropBelow));
        fixed (byte* bits = actual)
            PhiloxLanes.KeepBits(mask.Random, 0, 561, mask.DropBelow, bits);
        Assert.That(actual, Is.EqualTo(expected));
    }

    private interface ICheck
    {
        void Run<T>()
            where T : struct, ICounterLanes<T>;
    }

    private static void ForEachLaneCount(ICheck check)
    {
        check.Run<CounterLanesX2>();
        if (Avx2.IsSupported)
            check.Run<CounterLanesX4>();
        if (Avx512F.IsSupported)
            check.Run<CounterLanesX16>();
    }

    private sealed class KeepBits(long first) : ICheck
    {
        public void Run<T>()
            where T : struct, ICounterLanes<T>
        {
            const uint DropBelow = 5_000_000;
            for (int length = 0; length <= 300; length++)
            {
                byte[] expected = Expected(first, length, DropBelow);
                Assert.That(Actual<T>(first, length, DropBelow), Is.EqualTo(expected), $"{typeof(T).Name}, {length}");
            }
        }
    }

    private sealed class Words(long first) : ICheck
    {
        public void Run<T>()
            where T : struct, ICounterLanes<T>
        {
            for (int offset = 0; offset < 5; offset++)
            {
                for (int length = 0; length <= 300; length += 1 + (length / 40))
                {
                    uint[] actual = new uint[length + 1];
                    PhiloxLanes.Words<T>(Stream, first + offset, actual.AsSpan(0, length));
                    string what = $"{typeof(T).Name}, {length} from {offset}";
                    for (int i = 0; i < length; i++)
                        Assert.That(actual[i], Is.EqualTo(Stream.Word(first + offset + i)), what);
                    Assert.That(actual[length], Is.Zero, "wrote past the end");
                }
            }
        }
    }

    private sealed class Bound(uint dropBelow) : ICheck
    {
        public void Run<T>()
            where T : struct, ICounterLanes<T> =>
            Assert.That(Actual<T>(16, 5000, dropBelow), Is.EqualTo(Expected(16, 5000, dropBelow)), typeof(T).Name);
    }

    private static byte[] Expected(long first, int length, uint dropBelow)
    {
        byte[] bits = new byte[((length + 7) / 8) + 1];
        bits[^1] = 0xAA;
        for (int i = 0; i < length; i++)
            bits[i / 8] |= (byte)(Stream.Word(first + i) >> 8 >= dropBelow ? 1 << (i % 8) : 0);
        return bits;
    }

    // The byte after the last is a sentinel, the others begin as ones so that each must be written.
    private static byte[] Actual<T>(long first, int length, uint dropBelow)
        where T : struct, ICounterLanes<T>
    {
        byte[] actual = new byte[((length + 7) / 8) + 1];
        Array.Fill(actual, (byte)0xFF);
        actual[^1] = 0xAA;
        fixed (byte* bits = actual)
            PhiloxLanes.KeepBits<T>(Stream, first, length, dropBelow, bits);
        return actual;
    }
}
