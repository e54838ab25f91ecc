using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="CopyKernels"/>.</summary>
internal struct CopyArguments
{
    /// <summary>What is copied.</summary>
    public required DeviceMatrix Source;

    /// <summary>Where to.</summary>
    public required DeviceMatrix Output;
}

/// <summary>Copies of matrices: neighbouring threads write neighbours.</summary>
internal static class CopyKernels
{
    /// <summary>Elements of the same type, bit by bit.</summary>
    public static void Move<TWord>(CopyArguments arguments)
        where TWord : unmanaged
    {
        var source = arguments.Source.Data.Cast<TWord>();
        var output = arguments.Output.Data.Cast<TWord>();
        long length = (long)arguments.Output.Rows * arguments.Output.Columns;
        for (long i = Grid.LongGlobalIndex.X; i < length; i += GridStride.X)
            output[arguments.Output.Place(i, arguments.Output)] = source[arguments.Source.Place(i, arguments.Output)];
    }

    /// <summary>Elements of different types.</summary>
    public static void Convert<TFrom, TTo>(CopyArguments arguments)
        where TFrom : struct, ICodec
        where TTo : struct, ICodec
    {
        long length = (long)arguments.Output.Rows * arguments.Output.Columns;
        for (long i = Grid.LongGlobalIndex.X; i < length; i += GridStride.X)
        {
            long from = arguments.Source.Place(i, arguments.Output), to = arguments.Output.Place(i, arguments.Output);
            StoredElements<TTo>.Store(
                arguments.Output.Data, to, StoredElements<TFrom>.Load(arguments.Source.Data, from));
        }
    }
}
