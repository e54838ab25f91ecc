using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <inheritdoc/>
internal readonly struct SingleScalar : IScalar<float>
{
    /// <inheritdoc/>
    public static int Halves => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load<TElements>(in DeviceMatrix matrix, long index)
        where TElements : struct, IElements => TElements.Load(matrix, index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Add(float left, float right) => Exact.Add(left, right);
}
