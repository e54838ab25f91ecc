namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>What the products' kernels ask of a type of number.</summary>
/// <typeparam name="T">float or double.</typeparam>
internal interface IScalar<T>
{
    /// <summary>Halves of a full tile's rows that fit into the registers.</summary>
    static abstract int Halves { get; }

    /// <summary>An element of a matrix.</summary>
    static abstract T Load<TElements>(in DeviceMatrix matrix, long index)
        where TElements : struct, IElements;

    /// <summary>The sum, rounded by itself: not fused with a product before it.</summary>
    static abstract T Add(T left, T right);
}
