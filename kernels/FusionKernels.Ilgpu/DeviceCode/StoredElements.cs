using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Elements of a storage type.</summary>
internal readonly struct StoredElements<TCodec> : IElements
    where TCodec : struct, ICodec
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(in DeviceMatrix matrix, long index) => Load(matrix.Data, index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double LoadDouble(in DeviceMatrix matrix, long index) =>
        TCodec.Size == sizeof(double) ? matrix.Data.Cast<double>()[index] : Load(matrix.Data, index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static StoredGroup Read(in DeviceMatrix matrix, long index) =>
        new() { Data = Stored8.Read<TCodec>(matrix.Data, index >> 3) };

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Decode(in StoredGroup group) => group.Data.Decode<TCodec>();

    /// <summary>One element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(ArrayView<byte> data, long index) =>
        StoredOne.Read<TCodec>(data, index).Decode<TCodec>().Value;

    /// <summary>Rounds to one element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ArrayView<byte> data, long index, float value)
    {
        Lane code = TCodec.Encode(new Lane(value));
        if (TCodec.Size == sizeof(double))
            data.Cast<double>()[index] = code.Value;
        else if (TCodec.Size == sizeof(float))
            data.Cast<uint>()[index] = code.Bits;
        else if (TCodec.Size == sizeof(ushort))
            data.Cast<ushort>()[index] = (ushort)code.Bits;
        else
            data[index] = (byte)code.Bits;
    }
}
