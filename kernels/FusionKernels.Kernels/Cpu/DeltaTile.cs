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

    /// <summary>
    /// Lines of a matrix minus those of its base, which has the same strides, or as they are where there is none.
    /// </summary>
    /// <param name="data">The first element.</param>
    /// <param name="origin">The base's first element, or <c>default</c>.</param>
    /// <param name="stride">Elements from one line to the next.</param>
    /// <param name="lines">How many lines.</param>
    /// <param name="length">Elements of a line.</param>
    /// <param name="tile">Receives them.</param>
    /// <param name="tileStride">Elements from one line to the next there.</param>
    public static void SubtractLines<T>(
        Operand data, Operand origin, nint stride, int lines, int length, float* tile, nint tileStride)
        where T : struct, ICpuLanes<T>
    {
        var differences = new LineDifferences<T>(data, origin, stride, lines, length, tile, tileStride);
        if (origin.Exists)
            Codec.Select(data.Type, origin.Type, differences);
        else
            Codec.Select(data.Type, ref differences);
    }

    /// <summary>Elements from <paramref name="i"/> on minus the base's, straight from storage.</summary>
    /// <param name="data">The model's elements.</param>
    /// <param name="basis">The base's, or <c>null</c>.</param>
    /// <param name="i">The first element.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TData, TBase, TLanes>(byte* data, byte* basis, nint i)
        where TData : struct, ICodec
        where TBase : struct, ICodec
        where TLanes : struct, ICpuLanes<TLanes>
    {
        TLanes value = Codec.Load<TData, TLanes>(data + (i * TData.Size));
        if (basis != null)
            value -= Codec.Load<TBase, TLanes>(basis + (i * TBase.Size));
        return value;
    }

    private readonly struct LineDifferences<T>(
        Operand data, Operand origin, nint stride, int lines, int length, float* tile, nint tileStride)
        : ICodecAction, ICodecPairAction
        where T : struct, ICpuLanes<T>
    {
        // Line by line whole registers, then single elements: lane j is element i + j.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Invoke<TData, TOrigin>()
            where TData : struct, ICodec
            where TOrigin : struct, ICodec
        {
            for (int line = 0; line < lines; line++)
            {
                byte* x = (byte*)data.Address + (line * stride * TData.Size);
                byte* y = (byte*)origin.Address + (line * stride * TOrigin.Size);
                float* target = tile + (line * tileStride);
                int i = 0;
                for (; i <= length - T.Count; i += T.Count)
                    Put(Subtract<TData, TOrigin, T>(x, y, i), target + i);
                for (; i < length; i++)
                    Put(Subtract<TData, TOrigin, F32x1>(x, y, i), target + i);
            }
        }

        public void Invoke<TData>()
            where TData : struct, ICodec
        {
            for (int line = 0; line < lines; line++)
                Read<T>(data.Skip(line * stride), tile + (line * tileStride), length);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TLanes Subtract<TData, TOrigin, TLanes>(byte* x, byte* y, nint i)
            where TData : struct, ICodec
            where TOrigin : struct, ICodec
            where TLanes : struct, ICpuLanes<TLanes> =>
            Codec.Load<TData, TLanes>(x + (i * TData.Size)) - Codec.Load<TOrigin, TLanes>(y + (i * TOrigin.Size));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Put<TLanes>(TLanes values, float* target)
            where TLanes : struct, ICpuLanes<TLanes> => TLanes.Store(values, (byte*)target, sizeof(float));
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
