namespace FusionKernels.Kernels;

/// <summary>
/// How one storage type becomes fp32 and back, written once over <see cref="ILanes{T}"/> in IEEE and integer operations
/// that every device has, so all widths and backends give the same bits. <see cref="Codec"/> adds memory.
/// </summary>
public interface ICodec
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    /// <summary>
    /// From the lanes that <see cref="ICpuLanes{T}.Load"/> fills to fp32: exact, denormals too, NaN stays NaN.
    /// </summary>
    static abstract T Decode<T>(T bits)
        where T : struct, ILanes<T>;

    /// <summary>
    /// From fp32 to the lanes that <see cref="ICpuLanes{T}.Store"/> takes: rounded to nearest even once, denormals too;
    /// zeros keep their sign. Every NaN becomes the type's canonical one: positive, quiet, no payload.
    /// </summary>
    static abstract T Encode<T>(T value)
        where T : struct, ILanes<T>;
}
