using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Elements less those of a base, rounded to fp32.</summary>
internal readonly struct DeltaElements<TCodec, TBase> : IElements
    where TCodec : struct, ICodec
    where TBase : struct, ICodec
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(in DeviceMatrix matrix, long index) => Exact.Subtract(
        StoredElements<TCodec>.Load(matrix.Data, index), StoredElements<TBase>.Load(matrix.Base, index));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double LoadDouble(in DeviceMatrix matrix, long index) => Load(matrix, index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static StoredGroup Read(in DeviceMatrix matrix, long index) => new()
    {
        Data = Stored8.Read<TCodec>(matrix.Data, index >> 3),
        Base = Stored8.Read<TBase>(matrix.Base, index >> 3),
    };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Decode(in StoredGroup group) => group.Data.Decode<TCodec>() - group.Base.Decode<TBase>();
}
