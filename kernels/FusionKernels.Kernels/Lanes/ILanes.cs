namespace FusionKernels.Kernels;

/// <summary>
/// A register of 32-bit lanes: fp32 values, or the raw bits of stored elements on their way from and to fp32. Rules and
/// codecs are written once over it; <see cref="ICpuLanes{TSelf}"/> adds what the CPU's loops need. Arithmetic is one
/// IEEE operation per lane, rounded to nearest even; there is no fused multiply-add on purpose.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
public interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    /// <summary>The same value in every lane.</summary>
    static abstract TSelf Splat(float value);

    /// <summary>The same bits in every lane.</summary>
    static abstract TSelf SplatBits(uint bits);

    /// <summary>Sum per lane.</summary>
    static abstract TSelf operator +(TSelf left, TSelf right);

    /// <summary>Difference per lane.</summary>
    static abstract TSelf operator -(TSelf left, TSelf right);

    /// <summary>Product per lane.</summary>
    static abstract TSelf operator *(TSelf left, TSelf right);

    /// <summary>Quotient per lane.</summary>
    static abstract TSelf operator /(TSelf left, TSelf right);

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
}
