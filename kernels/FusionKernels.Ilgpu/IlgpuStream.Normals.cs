namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Normals(Philox stream, long first, Span<float> normals)
        => throw new NotSupportedException("Normals is not written for ILGPU yet.");
}
