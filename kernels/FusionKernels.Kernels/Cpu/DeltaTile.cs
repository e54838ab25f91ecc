using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// Stored elements of any type as fp32 in scratch memory, for kernels whose arithmetic is written over plain floats.
/// </summary>
internal static unsafe class DeltaTile
{
    /// <summary>The elements as fp32.</summary>
    public static void Read<T>(Operand data, float* tile, int length)
        where T : struct, ICpuLanes<T> => Subtract<T>(data, null, tile, length);

    /// <summary>The elements minus <paramref name="origin"/>, or the elements where that is null.</summary>
    public static void Subtract<T>(Operand data, float* origin, float* tile, int length)
        where T : struct, ICpuLanes<T>
    {
        var difference = new Difference<T>((byte*)data.Address, origin, tile, length);
        Codec.Select(data.Type, ref difference);
    }

    private readonly struct Difference<T>(byte* source, float* origin, float* tile, int length) : ICodecAction
        where T : struct, ICpuLanes<T>
    {
        // Whole registers, then single elements, so that no byte beyond the last element is read. Lane j is element i +
        // j.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            int i = 0;
            if (origin == null)
            {
                for (; i <= length - T.Count; i += T.Count)
                    Write(i, Codec.Load<TCodec, T>(source + ((nint)i * TCodec.Size)));
                for (; i < length; i++)
                    Write(i, Codec.Load<TCodec, F32x1>(source + ((nint)i * TCodec.Size)));
            }
            else
            {
                for (; i <= length - T.Count; i += T.Count)
                    Write(i, Codec.Load<TCodec, T>(source + ((nint)i * TCodec.Size)) - Origin<T>(i));
                for (; i < length; i++)
                    Write(i, Codec.Load<TCodec, F32x1>(source + ((nint)i * TCodec.Size)) - Origin<F32x1>(i));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private TLanes Origin<TLanes>(int i)
            where TLanes : struct, ICpuLanes<TLanes> => TLanes.Load((byte*)(origin + i), sizeof(float));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Write<TLanes>(int i, TLanes values)
            where TLanes : struct, ICpuLanes<TLanes> => TLanes.Store(values, (byte*)(tile + i), sizeof(float));
    }
}
