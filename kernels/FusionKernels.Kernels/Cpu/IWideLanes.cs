namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// A register of fp64 lanes, in which reductions sum. Loops take two registers' worth of a block's 16 accumulators
/// (<see cref="Reduction"/>) at a time, so that few registers are live whatever the width, and walk the tile once for
/// each such strip.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal unsafe interface IWideLanes<TSelf>
    where TSelf : struct, IWideLanes<TSelf>
{
    /// <summary>Number of lanes; at most half of <see cref="Reduction.Lanes"/>.</summary>
    static abstract int Count { get; }

    static abstract TSelf Load(double* source);

    /// <summary>Reads fp32 values, exactly widened.</summary>
    static abstract TSelf Load(float* source);

    /// <summary>The lower half of a register of twice as many fp32 lanes, exactly widened.</summary>
    static abstract TSelf WidenLower<T>(T values)
        where T : struct, ICpuLanes<T>;

    /// <summary>The upper half.</summary>
    static abstract TSelf WidenUpper<T>(T values)
        where T : struct, ICpuLanes<T>;

    static abstract void Store(TSelf value, double* destination);

    static abstract TSelf operator +(TSelf left, TSelf right);

    static abstract TSelf operator -(TSelf left, TSelf right);

    static abstract TSelf operator *(TSelf left, TSelf right);

    static abstract TSelf Abs(TSelf value);

    /// <summary>The larger one per lane; neither may be NaN.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>
    /// sum + left * right for a product that is exact in fp64, such as that of widened fp32 values. The machine may
    /// fuse: with an exact product that gives the same bits.
    /// </summary>
    static abstract TSelf AddExactProduct(TSelf sum, TSelf left, TSelf right);
}
