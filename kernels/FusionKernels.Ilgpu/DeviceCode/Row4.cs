using System.Numerics;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Four numbers side by side in memory, which a thread moves at once.</summary>
internal struct Row4<T>
    where T : unmanaged, INumber<T>
{
    public T X0, X1, X2, X3;
}
