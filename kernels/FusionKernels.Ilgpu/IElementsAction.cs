using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>Code that is generic over how a matrix is stored; <see cref="MatrixElements"/> chooses which.</summary>
internal interface IElementsAction
{
    /// <summary>Runs with the chosen elements.</summary>
    void Invoke<TElements>()
        where TElements : struct, IElements;
}
