namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
        => throw new NotSupportedException("Multiply is not written for ILGPU yet.");
}
