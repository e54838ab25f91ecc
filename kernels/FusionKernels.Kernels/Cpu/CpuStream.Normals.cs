namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Normals(Philox stream, long first, Span<float> normals) => throw new NotImplementedException();
}
