using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <inheritdoc/>
internal readonly struct DoubleScalar : IScalar<double>
{
    /// <inheritdoc/>
    public static int Halves => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Load<TElements>(in DeviceMatrix matrix, long index)
        where TElements : struct, IElements => TElements.LoadDouble(matrix, index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Add(double left, double right) => Exact.Add(left, right);
}
