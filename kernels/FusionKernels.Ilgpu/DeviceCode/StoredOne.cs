using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>One stored element of any type.</summary>
/// <param name="bits">Its bits.</param>
internal readonly struct StoredOne(ulong bits)
{
    /// <summary>Its bits.</summary>
    public readonly ulong Bits = bits;

    /// <summary>Reads element number <paramref name="index"/> of an operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static StoredOne Read<TCodec>(ArrayView<byte> operand, long index)
        where TCodec : struct, ICodec => new(TCodec.Size switch
        {
            1 => operand[index],
            2 => operand.Cast<ushort>()[index],
            4 => operand.Cast<uint>()[index],
            _ => operand.Cast<ulong>()[index],
        });

    /// <summary>As fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Lane Decode<TCodec>()
        where TCodec : struct, ICodec =>
        TCodec.Size == 8 ? Stored8.Narrowed((uint)Bits, (uint)(Bits >> 32)) : TCodec.Decode(Lane.SplatBits((uint)Bits));
}
