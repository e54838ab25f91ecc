namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // The logarithm and the sine must round like the host's, and it is the host that wants them.
    public void Normals(Philox stream, long first, Span<float> normals) => _host.Normals(stream, first, normals);
}
