namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Lanes in the registers of one thread: <see cref="Lane"/>, doubled by <see cref="Pair{T}"/>.</summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal interface IDeviceLanes<TSelf> : ILanes<TSelf>
    where TSelf : struct, IDeviceLanes<TSelf>
{
    /// <summary>Number of lanes.</summary>
    static abstract int Count { get; }

    /// <summary>Lane j is 1 if bit j is set, else 0.</summary>
    static abstract TSelf Factor(uint bits);

    /// <summary>Bit j is set where lane j of a exceeds that of b as an unsigned integer.</summary>
    static abstract uint BitsGreater(TSelf a, TSelf b);

    /// <summary>Bit j is set where lane j has the same bits in both.</summary>
    static abstract uint BitsEqual(TSelf a, TSelf b);
}
