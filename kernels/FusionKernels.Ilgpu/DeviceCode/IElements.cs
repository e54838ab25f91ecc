namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// How the elements of a <see cref="DeviceMatrix"/> become numbers: a struct for each way to store them.
/// </summary>
internal interface IElements
{
    /// <summary>The element that lies <paramref name="index"/> elements after the first, as fp32.</summary>
    static abstract float Load(in DeviceMatrix matrix, long index);

    /// <summary>
    /// As fp64: that of fp32, but for <see cref="ElementType.F64"/> without a base, which is read in full.
    /// </summary>
    static abstract double LoadDouble(in DeviceMatrix matrix, long index);

    /// <summary>Begins to read eight elements; <paramref name="index"/> is a multiple of eight.</summary>
    static abstract StoredGroup Read(in DeviceMatrix matrix, long index);

    /// <summary>As fp32.</summary>
    static abstract Eight Decode(in StoredGroup group);
}
