namespace FusionKernels.Kernels;

/// <summary>
/// A register of fp32 lanes. Rules and codecs are written once over it; <c>F32x1</c> is the scalar form that the reference
/// backend and GPU threads use, <c>F32x4</c>, <c>F32x8</c> and <c>F32x16</c> are the SIMD widths. Every operation is one
/// IEEE operation per lane, rounded to nearest even; there is no fused multiply-add on purpose.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
public interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    /// <summary>Number of lanes.</summary>
    static abstract int Count { get; }

    /// <summary>The same value in every lane.</summary>
    static abstract TSelf Splat(float value);

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
}
