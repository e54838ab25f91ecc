using System.Numerics;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="FoldKernel{T,TScalar}"/>.</summary>
internal struct FoldArguments<T>
    where T : unmanaged, INumber<T>
{
    /// <summary>The product.</summary>
    public required ProductOutput<T> Output;

    /// <summary>The segments' sums, rows without gaps, one matrix after the other.</summary>
    public required ArrayView<T> Sums;

    /// <summary>How many segments.</summary>
    public required int Count;
}

/// <summary>
/// Adds the sums of segments that different groups computed, in order: bit for bit what one group does that computes
/// all of them.
/// </summary>
internal static class FoldKernel<T, TScalar>
    where T : unmanaged, INumber<T>
    where TScalar : struct, IScalar<T>
{
    /// <summary>The kernel.</summary>
    public static void Run(FoldArguments<T> arguments)
    {
        long length = (long)arguments.Output.Rows * arguments.Output.Columns;
        for (long i = Grid.LongGlobalIndex.X; i < length; i += GridStride.X)
        {
            int row = (int)(i / arguments.Output.Columns), column = (int)(i % arguments.Output.Columns);
            for (int segment = 0; segment < arguments.Count; segment++)
                arguments.Output.Add<TScalar>(arguments.Sums[(segment * length) + i], row, column, segment == 0);
        }
    }
}
