namespace FusionKernels.Kernels;

/// <summary>
/// Lanes in the CPU's memory: <see cref="F32x1"/> is the scalar form that the reference backend and loop remainders use,
/// <see cref="F32x4"/>, <see cref="F32x8"/> and <see cref="F32x16"/> are the SIMD widths.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
public unsafe interface ICpuLanes<TSelf> : ILanes<TSelf>
    where TSelf : struct, ICpuLanes<TSelf>
{
    /// <summary>Number of lanes.</summary>
    static abstract int Count { get; }

    /// <summary>
    /// Reads <see cref="Count"/> consecutive elements of any alignment. The bits of elements of 1, 2 or 4 bytes are
    /// zero-extended; elements of 8 bytes are doubles, rounded to fp32.
    /// </summary>
    /// <param name="source">The first element.</param>
    /// <param name="size">Bytes per element, a constant: 1, 2, 4 or 8.</param>
    static abstract TSelf Load(byte* source, int size);

    /// <summary>
    /// The reverse of <see cref="Load"/>: keeps the low bytes of each lane, or widens fp32 to doubles.
    /// </summary>
    static abstract void Store(TSelf value, byte* destination, int size);

    /// <summary>A mask's factors: lane j is 1 if bit <c>index + j</c> of the run of bits is set, else 0.</summary>
    /// <param name="bits">The run; bit k is bit k mod 8 of byte k div 8.</param>
    /// <param name="index">A multiple of <see cref="Count"/>.</param>
    static abstract TSelf MaskFactor(byte* bits, nint index);

    /// <summary>The sum of all lanes: the upper half is added to the lower one until one lane is left.</summary>
    static abstract float Sum(TSelf value);

    /// <summary>
    /// Bit j is set where lane j of <paramref name="a"/> exceeds that of <paramref name="b"/> as an unsigned integer.
    /// </summary>
    static abstract uint BitsGreater(TSelf a, TSelf b);

    /// <summary>Bit j is set where lane j has the same bits in both.</summary>
    static abstract uint BitsEqual(TSelf a, TSelf b);

    /// <summary>
    /// Writes <c>bits - low</c> of those lanes where it is at most <paramref name="span"/>, as unsigned integers, one
    /// after the other in lane order. May write up to <see cref="Count"/> integers.
    /// </summary>
    /// <returns>How many lanes that are.</returns>
    static abstract int PackOffsets(TSelf value, TSelf low, TSelf span, uint* destination);
}
