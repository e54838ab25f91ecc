using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Copy(in Matrix source, in Matrix output)
    {
        Matrix.CheckCopy(source, output);
        if (!source.IsRowMajor && !output.IsRowMajor)
            Move(source.Transposed, output.Transposed);
        else
            Move(source, output);
    }

    private static void Move(in Matrix source, in Matrix output)
    {
        if (source.Data.Type != output.Data.Type)
        {
            Codec.Select(source.Data.Type, output.Data.Type, new Conversion(source, output));
            return;
        }

        switch (source.Data.Type.Size())
        {
            case 1:
                MoveBits<byte>(source, output);
                break;
            case 2:
                MoveBits<ushort>(source, output);
                break;
            case 4:
                MoveBits<uint>(source, output);
                break;
            default:
                MoveBits<ulong>(source, output);
                break;
        }
    }

    // SAFETY: here and below, the matrices hold their elements.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MoveBits<TWord>(in Matrix source, in Matrix output)
        where TWord : unmanaged
    {
        for (int row = 0; row < source.Rows; row++)
        {
            TWord* from = (TWord*)source.Data.Skip(row * source.RowStride).Address;
            TWord* to = (TWord*)output.Data.Skip(row * output.RowStride).Address;
            if (source.IsRowMajor && output.IsRowMajor)
            {
                new ReadOnlySpan<TWord>(from, source.Columns).CopyTo(new Span<TWord>(to, source.Columns));
                continue;
            }

            for (int column = 0; column < source.Columns; column++)
                to[column * output.ColumnStride] = from[column * source.ColumnStride];
        }
    }

    private readonly struct Conversion(Matrix source, Matrix output) : ICodecPairAction
    {
        // Whole registers where both are stored by rows, then single elements.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Invoke<TFrom, TTo>()
            where TFrom : struct, ICodec
            where TTo : struct, ICodec
        {
            nint fromStep = source.ColumnStride * TFrom.Size, toStep = output.ColumnStride * TTo.Size;
            for (int row = 0; row < source.Rows; row++)
            {
                byte* from = (byte*)source.Data.Skip(row * source.RowStride).Address;
                byte* to = (byte*)output.Data.Skip(row * output.RowStride).Address;
                int column = 0;
                if (source.IsRowMajor && output.IsRowMajor)
                {
                    for (; column <= source.Columns - T.Count; column += T.Count)
                        Codec.Store<TTo, T>(to + (column * toStep), Codec.Load<TFrom, T>(from + (column * fromStep)));
                }

                for (; column < source.Columns; column++)
                {
                    F32x1 element = Codec.Load<TFrom, F32x1>(from + (column * fromStep));
                    Codec.Store<TTo, F32x1>(to + (column * toStep), element);
                }
            }
        }
    }
}
