namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// One row of the tile that a matrix product keeps in registers: a register of fp32 or fp64 lanes, or two or three of
/// them (<see cref="TwoLanes{T, TScalar}"/>, <see cref="ThreeLanes{T, TScalar}"/>). Unlike <see cref="ILanes{T}"/> it
/// may fuse a product and a sum, because products of matrices need not have the same bits on every width.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
/// <typeparam name="TScalar">float or double.</typeparam>
internal unsafe interface IProductLanes<TSelf, TScalar>
    where TSelf : struct, IProductLanes<TSelf, TScalar>
    where TScalar : unmanaged
{
    static abstract int Count { get; }

    static abstract TSelf Load(TScalar* source);

    static abstract void Store(TSelf value, TScalar* destination);

    /// <summary>
    /// sum + left * right, rounded once where the machine can; left by its address, which one load gives to all lanes.
    /// </summary>
    static abstract TSelf MultiplyAdd(TScalar* left, TSelf right, TSelf sum);
}
