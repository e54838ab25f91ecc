namespace FusionKernels.Kernels;

/// <summary>
/// A register of 32-bit lanes: fp32 values, or the raw bits of stored elements on their way from and to fp32. Rules,
/// codecs and loops are written once over it; <see cref="F32x1"/> is the scalar form that the reference backend, loop
/// remainders and GPU threads use, <see cref="F32x4"/>, <see cref="F32x8"/> and <see cref="F32x16"/> are the SIMD
/// widths. Arithmetic is one IEEE operation per lane, rounded to nearest even; there is no fused multiply-add on
/// purpose.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
public unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    /// <summary>Number of lanes.</summary>
    static abstract int Count { get; }

    /// <summary>The same value in every lane.</summary>
    static abstract TSelf Splat(float value);

    /// <summary>The same bits in every lane.</summary>
    static abstract TSelf SplatBits(uint bits);

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

    /// <summary>Sum per lane.</summary>
    static abstract TSelf operator +(TSelf left, TSelf right);

    /// <summary>Difference per lane.</summary>
    static abstract TSelf operator -(TSelf left, TSelf right);

    /// <summary>Product per lane.</summary>
    static abstract TSelf operator *(TSelf left, TSelf right);

    /// <summary>Quotient per lane.</summary>
    static abstract TSelf operator /(TSelf left, TSelf right);

    /// <summary>The sum of all lanes: the upper half is added to the lower one until one lane is left.</summary>
    static abstract float Sum(TSelf value);

    /// <summary>Magnitude per lane: the sign bit cleared.</summary>
    static abstract TSelf Abs(TSelf value);

    /// <summary><c>a &gt; b ? yes : no</c> per lane; comparisons with NaN are false.</summary>
    static abstract TSelf WhereGreater(TSelf a, TSelf b, TSelf yes, TSelf no);

    /// <summary><c>a &gt;= b ? yes : no</c> per lane.</summary>
    static abstract TSelf WhereGreaterOrEqual(TSelf a, TSelf b, TSelf yes, TSelf no);

    /// <summary><c>a == b ? yes : no</c> per lane.</summary>
    static abstract TSelf WhereEqual(TSelf a, TSelf b, TSelf yes, TSelf no);

    /// <summary>Bits set in both.</summary>
    static abstract TSelf operator &(TSelf left, TSelf right);

    /// <summary>Bits set in either.</summary>
    static abstract TSelf operator |(TSelf left, TSelf right);

    /// <summary>The bits of each lane moved up; zeros come in.</summary>
    static abstract TSelf operator <<(TSelf value, int count);

    /// <summary>The bits of each lane moved down; zeros come in.</summary>
    static abstract TSelf operator >>>(TSelf value, int count);

    /// <summary>Sum of the bits as 32-bit integers, wrapping around.</summary>
    static abstract TSelf AddBits(TSelf left, TSelf right);

    /// <summary><c>a &gt; b ? yes : no</c> per lane, comparing the bits as unsigned integers.</summary>
    static abstract TSelf WhereBitsGreater(TSelf a, TSelf b, TSelf yes, TSelf no);

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
