using System.Numerics;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="ProductKernel{TLeft,TRight,T,TScalar}"/>.</summary>
/// <typeparam name="T">What products are summed in: float or double.</typeparam>
internal struct ProductArguments<T>
    where T : unmanaged, INumber<T>
{
    /// <summary>m x k.</summary>
    public required DeviceMatrix Left;

    /// <summary>k x n.</summary>
    public required DeviceMatrix Right;

    /// <summary>m x n.</summary>
    public required ProductOutput<T> Output;
}
