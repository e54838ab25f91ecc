using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels;

/// <summary>
/// The Mersenne Twister (Matsumoto and Nishimura 1998, initialisation of 2002): the sequential generator that torch
/// uses on a CPU. A sequence has no random access, so <see cref="Skip"/> runs ahead at the speed of its recurrence and
/// <see cref="Copy"/> keeps a place in it.
/// </summary>
public sealed class Mt19937
{
    private const int Words = 624, Middle = 397;
    private const uint Upper = 0x8000_0000, Lower = 0x7FFF_FFFF, Twist = 0x9908_B0DF, Initial = 1_812_433_253;
    private readonly uint[] _state;
    private int _next = Words;

    /// <summary>Starts the sequence of a seed.</summary>
    public Mt19937(uint seed)
    {
        _state = new uint[Words];
        _state[0] = seed;
        for (int i = 1; i < Words; i++)
            _state[i] = (Initial * (_state[i - 1] ^ (_state[i - 1] >> 30))) + (uint)i;
    }

    private Mt19937(Mt19937 other)
    {
        (_state, _next) = ([.. other._state], other._next);
    }

    /// <summary>A generator at the same place of the same sequence; 2.5 KB.</summary>
    public Mt19937 Copy() => new(this);

    /// <summary>Leaves out <paramref name="count"/> words.</summary>
    public void Skip(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        for (; count > Words - _next; Renew())
            count -= Words - _next;
        _next += (int)count;
    }

    /// <summary>The next words.</summary>
    public void Fill(Span<uint> words)
    {
        while (words.Length > 0)
        {
            if (_next == Words)
                Renew();
            int count = Math.Min(words.Length, Words - _next);
            Temper(_state.AsSpan(_next, count), words);
            _next += count;
            words = words[count..];
        }
    }

    /// <summary>
    /// torch's Bernoulli draw on a CPU, one word an element: bit i of <paramref name="bits"/> is set iff
    /// (word_i &amp; 0xFFFFFF) 2^-24 &lt; <paramref name="probability"/>.
    /// </summary>
    /// <param name="probability">In the dtype that torch computes in; below 0 counts as 0.</param>
    /// <param name="count">How many elements.</param>
    /// <param name="bits">
    /// Receives them, the first as the lowest bit of the first byte; unused bits of the last byte are zero.
    /// </param>
    public void Bernoulli(float probability, int count, Span<byte> bits)
    {
        // A 24-bit word is below p 2^24, which is exact, iff it is below the next integer. Eight words make a byte.
        var limit = Vector256.Create((int)Math.Ceiling(Math.Clamp(probability, 0, 1) * (double)(1 << 24)));
        Span<uint> words = stackalloc uint[Words];
        for (int done = 0; done < count; done += words.Length)
        {
            int drawn = Math.Min(words.Length, count - done);
            Fill(words[..drawn]);
            for (int i = 0; i < drawn; i += Vector256<uint>.Count)
            {
                var low = Vector256.Create<uint>(words[i..]) & Vector256.Create(0x00FF_FFFFu);
                uint kept = Vector256.LessThan(low.AsInt32(), limit).ExtractMostSignificantBits();
                uint inside = drawn - i < Vector256<uint>.Count ? (1u << (drawn - i)) - 1 : byte.MaxValue;
                bits[(done + i) / Vector256<uint>.Count] = (byte)(kept & inside);
            }
        }
    }

    // Word i of the new state depends on the old words i and i+1 and on word i+397 mod 624, which is old for the first
    // 227 words and new for the rest. Both reach further than 8 words, so 8 lanes at once read only what the scalar
    // form reads; its rest finishes each part, and the last word wraps to the first new one.
    private void Renew()
    {
        var state = _state.AsSpan();
        Part(state, 0, Words - Middle, Middle);
        Part(state, Words - Middle, Words - 1, Middle - Words);
        state[Words - 1] = Next(state[Words - 1], state[0], state[Middle - 1]);
        _next = 0;

        static void Part(Span<uint> state, int first, int end, int distance)
        {
            int i = first;
            for (; i <= end - Vector256<uint>.Count; i += Vector256<uint>.Count)
            {
                var current = Vector256.Create<uint>(state[i..]);
                var following = Vector256.Create<uint>(state[(i + 1)..]);
                var joined = (current & Vector256.Create(Upper)) | (following & Vector256.Create(Lower));
                var odd = Vector256<uint>.Zero - (following & Vector256<uint>.One);
                var far = Vector256.Create<uint>(state[(i + distance)..]);
                (far ^ (joined >> 1) ^ (odd & Vector256.Create(Twist))).CopyTo(state[i..]);
            }

            for (; i < end; i++)
                state[i] = Next(state[i], state[i + 1], state[i + distance]);
        }

        static uint Next(uint current, uint following, uint far) =>
            far ^ (((current & Upper) | (following & Lower)) >> 1) ^ ((0 - (following & 1)) & Twist);
    }

    // Eight words at a time, then the rest one by one.
    private static void Temper(ReadOnlySpan<uint> state, Span<uint> words)
    {
        int i = 0;
        for (; i <= state.Length - Vector256<uint>.Count; i += Vector256<uint>.Count)
        {
            var y = Vector256.Create(state[i..]);
            y ^= y >> 11;
            y ^= (y << 7) & Vector256.Create(0x9D2C_5680u);
            y ^= (y << 15) & Vector256.Create(0xEFC6_0000u);
            (y ^ (y >> 18)).CopyTo(words[i..]);
        }

        for (; i < state.Length; i++)
        {
            uint y = state[i];
            y ^= y >> 11;
            y ^= (y << 7) & 0x9D2C_5680;
            y ^= (y << 15) & 0xEFC6_0000;
            words[i] = y ^ (y >> 18);
        }
    }
}
