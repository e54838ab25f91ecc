namespace FusionKernels.Kernels;

/// <summary>How a <see cref="Mask"/> decides.</summary>
public enum MaskKind
{
    /// <summary>Every element takes part.</summary>
    All,

    /// <summary>Elements of large magnitude take part.</summary>
    Magnitude,

    /// <summary>Elements of medium magnitude take part.</summary>
    Band,

    /// <summary>Elements that a counter-based random draw keeps take part.</summary>
    Random,

    /// <summary>Elements whose bit is set take part.</summary>
    Bits,
}

/// <summary>Which elements of a delta take part in a merge. <c>default</c> keeps all.</summary>
public readonly unsafe record struct Mask
{
    private readonly ulong _a, _b, _c;

    private Mask(MaskKind kind, ulong a, ulong b = 0, ulong c = 0)
    {
        (Kind, _a, _b, _c) = (kind, a, b, c);
    }

    /// <summary>How the mask decides.</summary>
    public MaskKind Kind { get; }

    /// <summary>Keeps nothing: no magnitude exceeds the largest bit pattern.</summary>
    public static Mask None { get; } = Magnitude(uint.MaxValue, -1);

    /// <summary>
    /// Keeps element i iff the magnitude bits of its delta (fp32, sign cleared, so NaN is largest) exceed
    /// <paramref name="thresholdBits"/>, or equal them and i is at most <paramref name="lastTie"/>. Exactly k elements
    /// are kept when both come from <see cref="MagnitudeSelector"/>; ties keep the lower index.
    /// </summary>
    public static Mask Magnitude(uint thresholdBits, long lastTie) =>
        new(MaskKind.Magnitude, thresholdBits, (ulong)lastTie);

    /// <summary>
    /// Keeps element i iff the magnitude bits of its delta exceed <paramref name="lowBits"/>, or equal them and i is
    /// above <paramref name="lastLow"/>; and lie below <paramref name="highBits"/>, or equal them and i is at most
    /// <paramref name="lastHigh"/>. So a stable ascending sort is cut at both ends: of equal magnitudes the lower index
    /// comes first.
    /// </summary>
    public static Mask Band(uint lowBits, long lastLow, uint highBits, long lastHigh) =>
        new(MaskKind.Band, ((ulong)highBits << 32) | lowBits, (ulong)lastLow, (ulong)lastHigh);

    /// <summary>
    /// Drops element i with probability <paramref name="dropProbability"/>: iff (word_i &gt;&gt; 8) &lt; ceil(p *
    /// 2^24), word_i from <paramref name="stream"/>. DARE (Yu et al. 2023), section 3.
    /// </summary>
    public static Mask Dropping(Philox stream, double dropProbability)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dropProbability);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dropProbability, 1);
        return new(MaskKind.Random, (ulong)Math.Ceiling(dropProbability * (1 << 24)), stream.Seed, stream.Stream);
    }

    /// <summary>
    /// Keeps element i of the tensor iff bit i mod 8 of byte i div 8 at <paramref name="bits"/> is set. The bits
    /// belong to the whole tensor: element 0 is the lowest bit of the first byte, whatever the chunk.
    /// </summary>
    public static Mask FromBits(byte* bits) => new(MaskKind.Bits, (ulong)bits);

    /// <summary>For <see cref="MaskKind.Magnitude"/>: the threshold's bits.</summary>
    public uint ThresholdBits => (uint)_a;

    /// <summary>For <see cref="MaskKind.Magnitude"/>: the last index that a tie keeps.</summary>
    public long LastTie => (long)_b;

    /// <summary>For <see cref="MaskKind.Band"/>: the lower threshold's bits.</summary>
    public uint LowBits => (uint)_a;

    /// <summary>For <see cref="MaskKind.Band"/>: the last index that a tie at the lower threshold drops.</summary>
    public long LastLow => (long)_b;

    /// <summary>For <see cref="MaskKind.Band"/>: the upper threshold's bits.</summary>
    public uint HighBits => (uint)(_a >> 32);

    /// <summary>For <see cref="MaskKind.Band"/>: the last index that a tie at the upper threshold keeps.</summary>
    public long LastHigh => (long)_c;

    /// <summary>
    /// For <see cref="MaskKind.Random"/>: elements with (word &gt;&gt; 8) below this are dropped; 0 to 2^24.
    /// </summary>
    public uint DropBelow => (uint)_a;

    /// <summary>For <see cref="MaskKind.Random"/>: the stream of words.</summary>
    public Philox Random => new(_b, _c);

    /// <summary>For <see cref="MaskKind.Bits"/>: the tensor's bits.</summary>
    public byte* Bits => (byte*)_a;
}
