namespace FusionKernels.Kernels;

/// <summary>
/// A register of 64-bit lanes for <see cref="PhiloxLanes"/>: one block of the generator per lane, one of its words in
/// the lower half. What the upper halves hold is mostly left over from a multiplication and never read. This layout
/// suits the instruction that multiplies lower halves to 64 bits, so a round needs no shuffles.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal unsafe interface ICounterLanes<TSelf>
    where TSelf : struct, ICounterLanes<TSelf>
{
    /// <summary>Number of lanes: 2, 4 or 16.</summary>
    static abstract int Count { get; }

    /// <summary>The same value in every lane.</summary>
    static abstract TSelf Splat(ulong value);

    /// <summary>
    /// <paramref name="first"/>, <paramref name="first"/> + 1, ... in 64 bits, so a carry into the upper half is right.
    /// </summary>
    static abstract TSelf Consecutive(ulong first);

    /// <summary>The 64-bit product of the lower halves.</summary>
    static abstract TSelf MultiplyLower(TSelf left, TSelf right);

    /// <summary>The upper half moved to the lower one.</summary>
    static abstract TSelf Upper(TSelf value);

    /// <summary>Exclusive or of three.</summary>
    static abstract TSelf Xor(TSelf a, TSelf b, TSelf c);

    /// <summary>
    /// Two words per lane: the lower half of <paramref name="even"/>, and above it the lower half of
    /// <paramref name="odd"/>.
    /// </summary>
    static abstract TSelf Pair(TSelf even, TSelf odd);

    /// <summary>
    /// One bit per half, lowest first: whether it is at least the same half of <paramref name="bound"/>, unsigned.
    /// </summary>
    static abstract uint HalvesAtLeast(TSelf halves, TSelf bound);

    /// <summary>
    /// Writes, lane by lane, the halves of <paramref name="first"/> and then those of <paramref name="second"/>.
    /// </summary>
    static abstract void StoreInterleaved(TSelf first, TSelf second, uint* words);
}
