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
        // Few tiles: the elements' number is an int.
        ProductOutput<T> output = arguments.Output;
        int length = output.Rows * output.Columns;
        for (int i = Grid.GlobalIndex.X; i < length; i += (int)GridStride.X)
        {
            long at = (i / output.Columns * output.RowStride) + (i % output.Columns);
            T value = output.Alpha * arguments.Sums[i];
            if (output.Beta != T.Zero)
                value = TScalar.Add(value, output.Beta * output.Data[at]);
            for (int segment = 1; segment < arguments.Count; segment++)
                value = TScalar.Add(output.Alpha * arguments.Sums[((long)segment * length) + i], value);
            output.Data[at] = value;
        }
    }
}
